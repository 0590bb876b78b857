/* SPDX-License-Identifier: Apache-2.0
 *
 * storm.c - see storm.h. Rank r gives (r + 1) * (i % 97 + 1) + step as element i, which can be summed in the head.
 */
#include <stdlib.h>

#include "storm.h"

void
storm_init(struct storm *storm, tutti_comm *comm, uint64_t seed, size_t most)
{
	*storm = (struct storm){.comm = comm, .random = {mix64(seed)}, .most = most};
	storm->send = malloc(most * sizeof(int32_t));
	storm->recv = malloc(most * sizeof(int32_t));
	if (storm->send == NULL || storm->recv == NULL)
		abort();
}

void
storm_fini(struct storm *storm)
{
	free(storm->send);
	free(storm->recv);
	storm->send = storm->recv = NULL;
}

static int32_t
value(const struct storm *storm, int rank, size_t index)
{
	return (int32_t)((long)(rank + 1) * (long)(index % 97 + 1) + storm->step);
}

static int32_t
total(const struct storm *storm, size_t index)
{
	const long p = tutti_comm_size(storm->comm);

	return (int32_t)(p * (p + 1) / 2 * (long)(index % 97 + 1) + p * storm->step);
}

/* Small, medium and, seldom, large. */
static size_t
draw_count(struct storm *storm, size_t most)
{
	static const size_t scale[] = {4, 64, 1024, 1024, 16384, 262144};
	const size_t upto = scale[random_below(&storm->random, sizeof(scale) / sizeof(scale[0]))];

	return 1 + random_below(&storm->random, upto < most ? upto : most);
}

static bool
holds_total(const struct storm *storm, size_t first)
{
	for (size_t i = 0; i < storm->count; i++)
		if (storm->recv[i] != total(storm, first + i))
			return false;
	return true;
}

static bool
holds_row(const struct storm *storm, size_t at, int rank, size_t first)
{
	for (size_t i = 0; i < storm->count; i++)
		if (storm->recv[at + i] != value(storm, rank, first + i))
			return false;
	return true;
}

static tutti_status
reduction(struct storm *s, int rank, int size, unsigned kind, bool *right)
{
	const int root = (int)(s->step % size);
	tutti_status status;

	if (kind == 0) {
		s->what = "all_reduce";
		status = tutti_all_reduce(s->comm, s->send, s->recv, s->count, TUTTI_INT32, TUTTI_SUM, NULL, NULL);
		*right = status != TUTTI_OK || holds_total(s, 0);
	} else if (kind == 1) {
		s->what = "reduce";
		status = tutti_reduce(s->comm, s->send, s->recv, s->count, TUTTI_INT32, TUTTI_SUM, root, NULL, NULL);
		*right = status != TUTTI_OK || rank != root || holds_total(s, 0);
	} else {
		s->what = "reduce_scatter";
		status =
		    tutti_reduce_scatter(s->comm, s->send, s->recv, s->count, TUTTI_INT32, TUTTI_SUM, NULL, NULL);
		*right = status != TUTTI_OK || holds_total(s, (size_t)rank * s->count);
	}
	return status;
}

static tutti_status
movement(struct storm *s, int rank, int size, unsigned kind, bool *right)
{
	const int root = (int)(s->step % size);
	tutti_status status;

	if (kind == 3) {
		s->what = "broadcast";
		status = tutti_broadcast(s->comm, s->send, s->recv, s->count, TUTTI_INT32, root, NULL, NULL);
		*right = status != TUTTI_OK || holds_row(s, 0, root, 0);
		return status;
	}
	if (kind == 4) {
		s->what = "all_gather";
		status = tutti_all_gather(s->comm, s->send, s->recv, s->count, TUTTI_INT32, NULL, NULL);
		for (int r = 0; r < size; r++)
			*right = *right && (status != TUTTI_OK || holds_row(s, (size_t)r * s->count, r, 0));
		return status;
	}
	if (kind == 5) {
		s->what = "all_to_all";
		status = tutti_all_to_all(s->comm, s->send, s->recv, s->count, TUTTI_INT32, NULL, NULL);
		for (int r = 0; r < size; r++)
			*right = *right && (status != TUTTI_OK ||
					       holds_row(s, (size_t)r * s->count, r, (size_t)rank * s->count));
		return status;
	}
	s->what = "barrier";
	return tutti_barrier(s->comm, NULL, NULL);
}

tutti_status
storm_step(struct storm *storm, bool *right)
{
	const int rank = tutti_comm_rank(storm->comm), size = tutti_comm_size(storm->comm);
	const unsigned kind = (unsigned)random_below(&storm->random, 7);
	const bool wide = kind == 2 || kind == 4 || kind == 5;
	size_t whole;

	*right = true;
	storm->step++;
	storm->count = draw_count(storm, storm->most / (wide ? (size_t)size : 1));
	whole = storm->count * (wide ? (size_t)size : 1);
	for (size_t i = 0; i < whole; i++) {
		storm->send[i] = value(storm, rank, i);
		storm->recv[i] = -1;
	}
	return kind < 3 ? reduction(storm, rank, size, kind, right) : movement(storm, rank, size, kind, right);
}

tutti_status
storm_steps(struct storm *storm, long steps, bool *right)
{
	*right = true;
	for (long i = 0; i < steps; i++) {
		const tutti_status status = storm_step(storm, right);

		if (status != TUTTI_OK || !*right)
			return status;
	}
	return TUTTI_OK;
}
