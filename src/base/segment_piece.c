/* SPDX-License-Identifier: Apache-2.0
 *
 * segment_piece.c - which units of a segment are taken, and whether their pages exist.
 *
 * The rule: a set bit without a piece only wastes address space, a clear bit under a piece would corrupt. So bits
 * are set before pages are allocated and cleared after pages are freed, and a process may be killed anywhere in
 * between, also while it holds the lock. Pages of a free unit do not exist, so a fresh piece reads as zeros.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/error.h"
#include "base/headroom.h"
#include "base/segment_layout.h"

#define UNIT TT_SEGMENT_UNIT
#define HUGE_PAGE ((size_t)2 << 20)
#define WORD_BITS 64
#define FILL_STEP ((size_t)16 << 20) /* a signal undoes the fallocate that it interrupts: so not all in one */
#define SPARE ((size_t)8 << 20) /* left to everybody else when a piece is taken */

static uint64_t *
bitmap_of(const struct tt_segment *segment)
{
	return (uint64_t *)(void *)(segment->base + TT_SEGMENT_PAGE);
}

static size_t
units_of(size_t bytes)
{
	return tt_round_up(tt_max_size(bytes, 1), UNIT) / UNIT;
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

tutti_status
tt_segment_fill(int fd, uint64_t offset, size_t bytes)
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
lock(struct tt_segment *segment)
{
	int result = pthread_mutex_lock(&tt_segment_head_of(segment)->lock);

	/* Its holder was killed. Whatever it had done by then, the bitmap is good: see the rule above. */
	if (result == EOWNERDEAD)
		result = pthread_mutex_consistent(&tt_segment_head_of(segment)->lock);
	if (result == 0)
		return TUTTI_OK;
	errno = result;
	return tt_fail_errno("the lock of the node's shared memory is broken");
}

static void
unlock(struct tt_segment *segment)
{
	pthread_mutex_unlock(&tt_segment_head_of(segment)->lock);
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
	const size_t first = tt_segment_reserved(segment->size) / UNIT, end = segment->size / UNIT;
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
	status = tt_segment_fill(segment->fd, (uint64_t)unit * UNIT, tt_round_up(wanted, TT_SEGMENT_PAGE));
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
	if (length == 0 || offset % UNIT != 0 || offset < tt_segment_reserved(segment->size) ||
	    offset > segment->size - length)
		return;
	/* Not freed, the pages would be somebody's next piece with their contents: better to lose them. */
	if (fallocate(segment->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) != 0)
		return;
	give_units(segment, offset / UNIT, length / UNIT);
}
