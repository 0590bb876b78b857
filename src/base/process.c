/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - the process's generation, identity and guarded descriptors.
 *
 * The lock is held across every fork, so that the child sees the list whole and is its only owner. Guarded
 * descriptors are bits of a set: guarding twice is harmless, and the child closes them without allocating. What
 * the child's handler does must be safe there: system calls and this file's own memory only.
 */
#include "base/process.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/clock.h"
#include "base/port.h"

#define WORD_BITS 64
#define FIRST_WORDS 64 /* 4096 descriptors before the set has to grow */

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;
	tt_atomic_u32 generation;
	tt_atomic_u64 draws; /* of the random source of last resort */
	unsigned char identity[16];
	uint64_t first[FIRST_WORDS];
	uint64_t *guarded; /* bit fd: closed in a forked child; NULL = `first` */
	size_t words;
} process = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static void
before_fork(void)
{
	pthread_mutex_lock(&process.lock);
}

static void
after_fork_parent(void)
{
	pthread_mutex_unlock(&process.lock);
}

static void
close_guarded(void)
{
	for (size_t i = 0; i < process.words; i++) {
		while (process.guarded[i] != 0) {
			const int bit = __builtin_ctzll(process.guarded[i]);

			close((int)(i * WORD_BITS) + bit);
			process.guarded[i] &= process.guarded[i] - 1;
		}
	}
}

static void
after_fork_child(void)
{
	tt_fetch_add_relaxed(&process.generation, 1);
	tt_random(process.identity, sizeof(process.identity));
	close_guarded();
	pthread_mutex_unlock(&process.lock);
}

static void
start(void)
{
	process.guarded = process.first;
	process.words = FIRST_WORDS;
	tt_store_relaxed(&process.generation, 1);
	tt_random(process.identity, sizeof(process.identity));
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

uint32_t
tt_process_generation(void)
{
	pthread_once(&process.once, start);
	return tt_load_relaxed(&process.generation);
}

void
tt_process_identity(unsigned char identity[16])
{
	pthread_once(&process.once, start);
	memcpy(identity, process.identity, sizeof(process.identity));
}

/* true if the set has room for bit `fd`. */
static bool
grow(size_t words)
{
	uint64_t *more;

	if (words <= process.words)
		return true;
	words *= 2;
	more = calloc(words, sizeof(*more));
	if (more == NULL)
		return false;
	memcpy(more, process.guarded, process.words * sizeof(*more));
	if (process.guarded != process.first)
		free(process.guarded);
	process.guarded = more;
	process.words = words;
	return true;
}

void
tt_fd_guard(int fd)
{
	const int saved_errno = errno;
	const size_t word = (size_t)fd / WORD_BITS;

	if (fd < 0)
		return;
	pthread_once(&process.once, start);
	pthread_mutex_lock(&process.lock);
	/* Without memory for the set the descriptor stays unguarded; CLOEXEC still ends it at the child's exec. */
	if (grow(word + 1))
		process.guarded[word] |= UINT64_C(1) << ((size_t)fd % WORD_BITS);
	pthread_mutex_unlock(&process.lock);
	errno = saved_errno;
}

void
tt_fd_close(int fd)
{
	const int saved_errno = errno;
	const size_t word = (size_t)fd / WORD_BITS;

	if (fd < 0)
		return;
	pthread_once(&process.once, start);
	pthread_mutex_lock(&process.lock);
	if (word < process.words)
		process.guarded[word] &= ~(UINT64_C(1) << ((size_t)fd % WORD_BITS));
	/* Under the lock: a fork between the two would leave the child a descriptor that nobody closes. */
	close(fd);
	pthread_mutex_unlock(&process.lock);
	errno = saved_errno;
}

/* A sandbox may forbid getrandom: then the bytes that the kernel drew for this process at its exec, stretched. */
static void
random_of_last_resort(unsigned char *bytes, size_t n)
{
	const void *drawn = (const void *)getauxval(AT_RANDOM);

	while (n > 0) {
		struct {
			uint64_t draw, time, pid;
			unsigned char drawn[16];
		} seed = {tt_fetch_add_relaxed(&process.draws, 1), (uint64_t)tt_now_ns(), (uint64_t)getpid(), {0}};
		unsigned char block[32];
		const size_t part = n < sizeof(block) ? n : sizeof(block);

		if (drawn != NULL)
			memcpy(seed.drawn, drawn, sizeof(seed.drawn));
		crypto_generichash(block, sizeof(block), (const unsigned char *)&seed, sizeof(seed), NULL, 0);
		memcpy(bytes, block, part);
		bytes += part;
		n -= part;
	}
}

void
tt_random(void *bytes, size_t n)
{
	const int saved_errno = errno;
	unsigned char *at = bytes;

	while (n > 0) {
		const ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			random_of_last_resort(at, n);
			break;
		}
		at += got;
		n -= (size_t)got;
	}
	errno = saved_errno;
}
