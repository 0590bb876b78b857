/* SPDX-License-Identifier: Apache-2.0
 *
 * stage.c - see stage.h.
 */
#include "stage.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define HANDOFFS 500
#define NAP_NS 10000
#define LINE 64
#define LEAD_US 1 /* by when all know of the start: some handoffs, and a clock read */

/* A line of its own each, so that no waiter disturbs another. */
struct line {
	_Alignas(LINE) atomic_ulong value;
};

struct page {
	struct line came, round, ball;
	_Alignas(LINE) double released_us;
	_Alignas(LINE) double us[STAGE_RANKS];
	char text[STAGE_TEXT];
};

struct stage {
	struct page *page;
	int rank, size;
	enum stage_wait wait;
	int after; /* the call that is measured */
};

double
stage_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

struct stage *
stage_open(int rank, int size, enum stage_wait wait)
{
	static struct stage stage;
	const char *path = getenv("MEASURE_STAGE");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *memory = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(struct page)) == 0)
		memory = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (memory == MAP_FAILED || size > STAGE_RANKS) {
		fprintf(stderr, "measure: MEASURE_STAGE must name a file that all ranks (%d at most) can map\n",
		    STAGE_RANKS);
		return NULL;
	}
	stage = (struct stage){memory, rank, size, wait, 0};
	return &stage;
}

static void
relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void
pause_a_little(const struct stage *s)
{
	if (s->wait == STAGE_NAPS || (s->wait == STAGE_NAPS_AFTER && s->after))
		nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
	else if (s->wait != STAGE_SPINS)
		sched_yield();
	else
		relax();
}

double
stage_meet(struct stage *s)
{
	struct page *p = s->page;
	const unsigned long round = atomic_load(&p->round.value);

	if (atomic_fetch_add(&p->came.value, 1) + 1 == (unsigned long)s->size) {
		atomic_store(&p->came.value, 0);
		p->released_us = stage_now_us();
		atomic_store(&p->round.value, round + 1);
	} else {
		while (atomic_load(&p->round.value) == round)
			pause_a_little(s);
	}
	return p->released_us;
}

double
stage_start(struct stage *s)
{
	const double lead = s->wait == STAGE_SPINS ? LEAD_US : 0;
	const double start = stage_meet(s) + lead;

	while (lead > 0 && stage_now_us() < start)
		;
	return start;
}

double
stage_latest(struct stage *s, double us)
{
	double latest = 0;

	s->page->us[s->rank] = us;
	s->after = 1;
	stage_meet(s);
	s->after = 0;
	for (int r = 0; r < s->size; r++)
		latest = s->page->us[r] > latest ? s->page->us[r] : latest;
	stage_meet(s);
	return latest;
}

double
stage_handoff(struct stage *s)
{
	atomic_ulong *ball = &s->page->ball.value;
	double start, ns = 0;

	if (s->size < 2 || s->wait != STAGE_SPINS)
		return 0;
	atomic_store(ball, 0);
	start = stage_meet(s);
	for (unsigned long k = 0; k < HANDOFFS && s->rank < 2; k++) {
		while (atomic_load(ball) != 2 * k + (unsigned long)s->rank)
			;
		atomic_store(ball, 2 * k + (unsigned long)s->rank + 1);
	}
	ns = (stage_latest(s, stage_now_us()) - start) * 1e3 / (2 * HANDOFFS);
	return ns;
}

void
stage_tell(struct stage *s, void *text, size_t n)
{
	if (s->rank == 0)
		memcpy(s->page->text, text, n);
	stage_meet(s);
	memcpy(text, s->page->text, n);
	stage_meet(s);
}
