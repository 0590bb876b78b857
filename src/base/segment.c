/* SPDX-License-Identifier: Apache-2.0
 *
 * segment.c - a sealed memfd and the set of its units that are taken.
 *
 *     | head: magic, size, lock | bitmap: one bit per 64 KiB unit | units dealt out as pieces ...
 *     0                         4 KiB                             multiple of a unit
 *
 * The rule: a set bit without a piece only wastes address space, a clear bit under a piece would corrupt. So bits
 * are set before pages are allocated and cleared after pages are freed, and a process may be killed anywhere in
 * between, also while it holds the lock. Pages of a free unit do not exist, so a fresh piece reads as zeros.
 *
 * What others wrote is never an address or a limit here: where things are follows from the size alone, which is
 * the sealed size of the file.
 */
#include "base/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/headroom.h"
#include "base/memory.h"
#include "base/process.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define PAGE ((size_t)4096)
#define UNIT ((size_t)65536)
#define HUGE_PAGE ((size_t)2 << 20)
#define WORD_BITS 64
#define MAGIC UINT64_C(0x31676573746e6574)
#define LEAST_SIZE ((size_t)1 << 26) /* smaller ones are of no use to anybody */
#define USUAL_LEAST ((size_t)1 << 30)
#define MOST_SIZE ((size_t)1 << 44)
#define FILL_STEP ((size_t)16 << 20) /* a signal undoes the fallocate that it interrupts: so not all in one */
#define SPARE ((size_t)8 << 20) /* left to everybody else when a piece is taken */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct head {
	uint64_t magic, size;
	pthread_mutex_t lock; /* robust, shared: for the bitmap */
};

_Static_assert(sizeof(struct head) <= PAGE, "the head has a page");

struct tt_segment {
	unsigned char *base;
	size_t size;
	int fd;
	tt_atomic_u32 holders;
};

static struct head *
head_of(const struct tt_segment *segment)
{
	return (struct head *)(void *)segment->base;
}

static uint64_t *
bitmap_of(const struct tt_segment *segment)
{
	return (uint64_t *)(void *)(segment->base + PAGE);
}

/* Bytes before the first unit that can be a piece. */
static size_t
reserved_bytes(size_t size)
{
	return tt_round_up(PAGE + size / UNIT / 8, UNIT);
}

static size_t
units_of(size_t bytes)
{
	return tt_round_up(tt_max_size(bytes, 1), UNIT) / UNIT;
}

/* ---- making and mapping ---------------------------------------------------------------------------------- */

static size_t
limit_of(__rlimit_resource_t resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > MOST_SIZE)
		return MOST_SIZE;
	return (size_t)limit.rlim_cur;
}

/* A power of two: the machine's memory, as far as the limits of this process go. */
static size_t
wanted_size(void)
{
	const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	size_t want = USUAL_LEAST;
	/* Beyond RLIMIT_FSIZE, ftruncate raises a signal. Of the address space others need a part too. */
	const size_t most = tt_min_size(limit_of(RLIMIT_FSIZE), limit_of(RLIMIT_AS) / 4);

	while (pages > 0 && page > 0 && want / (size_t)page < (size_t)pages && want < MOST_SIZE)
		want *= 2;
	while (want > most && want >= LEAST_SIZE)
		want /= 2;
	return want;
}

static int
open_memfd(void)
{
	/* Some systems refuse a memfd that could be executed, older ones do not know how to say so. */
	int fd = memfd_create("tutti", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("tutti", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static unsigned char *
map(int fd, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (base == MAP_FAILED)
		return NULL;
	/* A forked child must not hold the job's memory, and a core file must not hold the machine's. */
	madvise(base, size, MADV_DONTFORK);
	madvise(base, size, MADV_DONTDUMP);
	return base;
}

/* Gives an empty memfd its size and maps it: as much as the address space allows. */
static tutti_status
size_and_map(struct tt_segment *segment)
{
	size_t size = wanted_size();

	for (; size >= LEAST_SIZE; size /= 2) {
		if (ftruncate(segment->fd, (off_t)size) != 0)
			return tt_fail_errno("cannot give shared memory a size of %zu bytes", size);
		segment->base = map(segment->fd, size);
		if (segment->base != NULL) {
			segment->size = size;
			return TUTTI_OK;
		}
		if (errno != ENOMEM)
			return tt_fail_errno("cannot map shared memory");
	}
	return tt_fail(TUTTI_ERR_NOMEM, -1,
	    "shared memory needs %zu MiB of address space and of file size: raise the limits (ulimit -v, ulimit -f)",
	    LEAST_SIZE >> 20);
}

static tutti_status
init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;
	int result = pthread_mutexattr_init(&attributes);

	if (result == 0) {
		result = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
		if (result == 0)
			result = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
		if (result == 0)
			result = pthread_mutex_init(lock, &attributes);
		pthread_mutexattr_destroy(&attributes);
	}
	if (result == 0)
		return TUTTI_OK;
	errno = result;
	return tt_fail_errno("cannot make a lock in shared memory");
}

/* Beyond a memory limit the kernel would not fail the call but kill a process. */
static tutti_status
check_headroom(size_t bytes)
{
	char limit[TT_LIMIT_NAME];
	const size_t left = tt_headroom("", limit);

	if (bytes <= left && left - bytes >= SPARE)
		return TUTTI_OK;
	return tt_fail(TUTTI_ERR_NOMEM, -1, "no memory for %zu bytes of shared memory: %s has %zu MiB left", bytes,
	    limit, left >> 20);
}

static tutti_status
fill_step(int fd, uint64_t offset, size_t bytes)
{
	int result;

	do
		result = fallocate(fd, 0, (off_t)offset, (off_t)bytes);
	while (result != 0 && errno == EINTR);
	if (result == 0)
		return TUTTI_OK;
	if (errno == ENOSPC)
		errno = ENOMEM;
	return tt_fail_errno("cannot allocate shared memory");
}

/* Makes the pages of a range exist, or says why not; what it allocated by then is freed again. */
static tutti_status
fill(int fd, uint64_t offset, size_t bytes)
{
	tutti_status status = check_headroom(bytes);
	size_t done = 0;

	while (status == TUTTI_OK && done < bytes) {
		const size_t step = tt_min_size(bytes - done, FILL_STEP);

		status = fill_step(fd, offset + done, step);
		done += step;
		/* The other ranks of the node allocate at the same time. */
		if (status == TUTTI_OK && done < bytes)
			status = check_headroom(bytes - done);
	}
	if (status != TUTTI_OK && done > 0)
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);
	return status;
}

static tutti_status
format(struct tt_segment *segment)
{
	struct head *head = head_of(segment);

	TT_TRY(fill(segment->fd, 0, reserved_bytes(segment->size)));
	TT_TRY(init_lock(&head->lock));
	head->size = segment->size;
	head->magic = MAGIC;
	if (fcntl(segment->fd, F_ADD_SEALS, SEALS) != 0)
		return tt_fail_errno("cannot seal the size of shared memory");
	return TUTTI_OK;
}

static tutti_status
make(struct tt_segment **segment)
{
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(struct tt_segment), "a shared segment", &memory));
	*segment = memory;
	(*segment)->fd = -1;
	tt_store_relaxed(&(*segment)->holders, 1);
	return TUTTI_OK;
}

static void
destroy(struct tt_segment *segment)
{
	if (segment->base != NULL)
		munmap(segment->base, segment->size);
	tt_fd_close(segment->fd);
	tt_free(segment);
}

tutti_status
tt_segment_create(struct tt_segment **segment)
{
	struct tt_segment *made;
	tutti_status status;

	TT_TRY(make(&made));
	made->fd = open_memfd();
	tt_fd_guard(made->fd);
	status = made->fd < 0 ? tt_fail_errno("cannot make shared memory (memfd_create)") : size_and_map(made);
	if (status == TUTTI_OK)
		status = format(made);
	if (status != TUTTI_OK) {
		destroy(made);
		return status;
	}
	*segment = made;
	return TUTTI_OK;
}

/* A file whose size nobody can change is safe to map: no access inside it can end in SIGBUS for want of a file. */
static tutti_status
check_file(int fd, size_t *size)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat file;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a process of this node offered memory whose size is not sealed");
	if (fstat(fd, &file) != 0)
		return tt_fail_errno("cannot look at shared memory");
	if (!S_ISREG(file.st_mode) || file.st_size < (off_t)LEAST_SIZE || file.st_size > (off_t)MOST_SIZE ||
	    (file.st_size & (file.st_size - 1)) != 0)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a process of this node offered memory of %lld bytes, no segment",
		    (long long)file.st_size);
	*size = (size_t)file.st_size;
	return TUTTI_OK;
}

static tutti_status
attach(struct tt_segment *segment)
{
	TT_TRY(check_file(segment->fd, &segment->size));
	segment->base = map(segment->fd, segment->size);
	if (segment->base == NULL)
		return tt_fail_errno(
		    "cannot map %zu GiB of the node's shared memory (ulimit -v?)", segment->size >> 30);
	if (head_of(segment)->magic != MAGIC || head_of(segment)->size != segment->size)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a process of this node offered memory that is no segment");
	return TUTTI_OK;
}

tutti_status
tt_segment_open(int fd, struct tt_segment **segment)
{
	struct tt_segment *made;
	tutti_status status = make(&made);

	if (status != TUTTI_OK) {
		tt_fd_close(fd);
		return status;
	}
	made->fd = fd;
	tt_fd_guard(fd);
	status = attach(made);
	if (status != TUTTI_OK) {
		destroy(made);
		return status;
	}
	*segment = made;
	return TUTTI_OK;
}

struct tt_segment *
tt_segment_share(struct tt_segment *segment)
{
	tt_fetch_add_relaxed(&segment->holders, 1);
	return segment;
}

void
tt_segment_close(struct tt_segment *segment)
{
	/* Pairs with itself: the last holder sees all that the others did before they let go. */
	if (segment != NULL && tt_fetch_add_acq_rel(&segment->holders, UINT32_MAX) == 1)
		destroy(segment);
}

int
tt_segment_fd(const struct tt_segment *segment)
{
	return segment->fd;
}

/* ---- pieces ---------------------------------------------------------------------------------------------- */

static tutti_status
lock(struct tt_segment *segment)
{
	int result = pthread_mutex_lock(&head_of(segment)->lock);

	/* Its holder was killed. Whatever it had done by then, the bitmap is good: see the rule above. */
	if (result == EOWNERDEAD)
		result = pthread_mutex_consistent(&head_of(segment)->lock);
	if (result == 0)
		return TUTTI_OK;
	errno = result;
	return tt_fail_errno("the lock of the node's shared memory is broken");
}

static void
unlock(struct tt_segment *segment)
{
	pthread_mutex_unlock(&head_of(segment)->lock);
}

static bool
is_taken(const uint64_t *bitmap, size_t unit)
{
	return (bitmap[unit / WORD_BITS] >> (unit % WORD_BITS) & 1) != 0;
}

static void
mark(uint64_t *bitmap, size_t unit, size_t n, bool taken)
{
	for (const size_t end = unit + n; unit < end; unit++) {
		const uint64_t bit = UINT64_C(1) << (unit % WORD_BITS);

		if (taken)
			bitmap[unit / WORD_BITS] |= bit;
		else
			bitmap[unit / WORD_BITS] &= ~bit;
	}
}

/* The first run of n free units that starts at a multiple of `step`; 0 if there is none (unit 0 is the head's). */
static size_t
find_run(const uint64_t *bitmap, size_t first, size_t end, size_t n, size_t step)
{
	size_t start = tt_round_up(first, step);

	while (start < end && n <= end - start) {
		size_t length = 0;

		while (length < n && !is_taken(bitmap, start + length))
			length++;
		if (length == n)
			return start;
		start = tt_round_up(start + length + 1, step);
	}
	return 0;
}

static tutti_status
take_units(struct tt_segment *segment, size_t n, size_t *unit)
{
	uint64_t *bitmap = bitmap_of(segment);
	const size_t first = reserved_bytes(segment->size) / UNIT, end = segment->size / UNIT;
	/* Big pieces may be mapped by huge pages. */
	const size_t step = n * UNIT >= HUGE_PAGE ? HUGE_PAGE / UNIT : 1;
	size_t found;

	TT_TRY(lock(segment));
	found = find_run(bitmap, first, end, n, step);
	if (found != 0)
		mark(bitmap, found, n, true);
	unlock(segment);
	if (found == 0)
		return tt_fail(TUTTI_ERR_NOMEM, -1,
		    "no room for %zu bytes in the node's shared memory of %zu MiB: free some, or raise the limits "
		    "(ulimit -v, ulimit -f)",
		    n * UNIT, segment->size >> 20);
	*unit = found;
	return TUTTI_OK;
}

static void
give_units(struct tt_segment *segment, size_t unit, size_t n)
{
	/* Without the lock the units stay taken: a leak until the segment ends. */
	if (lock(segment) != TUTTI_OK)
		return;
	mark(bitmap_of(segment), unit, n, false);
	unlock(segment);
}

tutti_status
tt_segment_take(struct tt_segment *segment, size_t bytes, uint64_t *offset)
{
	const size_t wanted = tt_max_size(bytes, 1);
	tutti_status status;
	size_t unit = 0;

	if (wanted > segment->size)
		return tt_fail(TUTTI_ERR_NOMEM, -1, "%zu bytes are more than the node's shared memory of %zu", bytes,
		    segment->size);
	TT_TRY(take_units(segment, units_of(wanted), &unit));
	status = fill(segment->fd, (uint64_t)unit * UNIT, tt_round_up(wanted, PAGE));
	if (status != TUTTI_OK) {
		give_units(segment, unit, units_of(wanted));
		return status;
	}
	*offset = (uint64_t)unit * UNIT;
	return TUTTI_OK;
}

void
tt_segment_give(struct tt_segment *segment, uint64_t offset, size_t bytes)
{
	const size_t length = bytes <= segment->size ? units_of(bytes) * UNIT : 0;

	/* An offset may have travelled: what cannot be a piece is left alone. */
	if (length == 0 || offset % UNIT != 0 || offset < reserved_bytes(segment->size) ||
	    offset > segment->size - length)
		return;
	/* Not freed, the pages would be somebody's next piece with their contents: better to lose them. */
	if (fallocate(segment->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) != 0)
		return;
	give_units(segment, offset / UNIT, length / UNIT);
}

void *
tt_segment_at(const struct tt_segment *segment, uint64_t offset)
{
	return offset < segment->size ? segment->base + offset : NULL;
}

int
tt_segment_find(const struct tt_segment *segment, const void *p, size_t n, uint64_t *offset)
{
	const uintptr_t from = (uintptr_t)segment->base, at = (uintptr_t)p;

	if (at < from || at - from > segment->size || n > segment->size - (at - from))
		return 0;
	*offset = at - from;
	return 1;
}
