/* SPDX-License-Identifier: Apache-2.0
 *
 * node_portions.c - what the node stage reads and writes of this member's own memory, which may be in portions: they
 * are gathered straight into the slot, and results scattered straight to where they belong.
 *
 * With portions what jobs give as addresses are offsets in the row: only this file makes them addresses.
 */
#include <string.h>

#include "base/checked.h"
#include "engine/node_stage_parts.h"

/* A stretch of the row that is in one piece in memory. */
struct stretch {
	const unsigned char *in;
	unsigned char *out;
	size_t bytes;
};

/* The first stretch of `bytes` bytes from `offset` on, which are in portion *index or a later one. */
static struct stretch
next_stretch(const struct tt_node_job *job, uint32_t *index, size_t offset, size_t bytes)
{
	const struct tt_portion *portion = &job->portions[*index];
	size_t skip;

	while (offset >= portion->begin + portion->bytes)
		portion = &job->portions[++*index];
	skip = offset - portion->begin;
	return (struct stretch){(job->reads_out ? portion->out : portion->in) + skip, portion->out + skip,
	    tt_min_size(bytes, portion->bytes - skip)};
}

void
tt_portions_take(const struct tt_node_job *job, unsigned char *to, size_t offset, size_t bytes)
{
	uint32_t index = tt_portion_find(job->portions, job->nportions, offset);

	while (bytes > 0) {
		const struct stretch now = next_stretch(job, &index, offset, bytes);

		memcpy(to, now.in, now.bytes);
		to += now.bytes;
		offset += now.bytes;
		bytes -= now.bytes;
	}
}

void
tt_portions_give(const struct tt_node_job *job, size_t offset, const unsigned char *from, size_t bytes)
{
	uint32_t index = tt_portion_find(job->portions, job->nportions, offset);

	while (bytes > 0) {
		const struct stretch now = next_stretch(job, &index, offset, bytes);

		memcpy(now.out, from, now.bytes);
		from += now.bytes;
		offset += now.bytes;
		bytes -= now.bytes;
	}
}

void
tt_portions_keep(const struct tt_node_job *job, size_t offset, size_t bytes)
{
	uint32_t index = tt_portion_find(job->portions, job->nportions, offset);

	while (bytes > 0) {
		const struct stretch now = next_stretch(job, &index, offset, bytes);

		if (now.out != now.in)
			memcpy(now.out, now.in, now.bytes);
		offset += now.bytes;
		bytes -= now.bytes;
	}
}

void
tt_portions_sum(struct tt_node_stage *s, unsigned char *result, size_t offset, size_t at, size_t bytes)
{
	uint32_t index = tt_portion_find(s->job.portions, s->job.nportions, offset);

	while (bytes > 0) {
		const struct stretch now = next_stretch(&s->job, &index, offset, bytes);

		tt_stage_sum(s, result != NULL ? result : now.out, now.in, at, now.bytes);
		result = result != NULL ? result + now.bytes : NULL;
		offset += now.bytes;
		at += now.bytes;
		bytes -= now.bytes;
	}
}
