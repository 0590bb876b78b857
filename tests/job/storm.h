/* SPDX-License-Identifier: Apache-2.0
 *
 * storm.h - an endless row of collectives by chance, the same on every rank, whose results are checked: load for tests
 * of what happens meanwhile.
 */
#ifndef TT_TESTS_STORM_H
#define TT_TESTS_STORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tutti/tutti.h>

#include "random.h"

struct storm {
	tutti_comm *comm;
	struct random random;
	size_t most; /* elements of the largest buffer */
	long step;
	int32_t *send, *recv;
	const char *what; /* the latest collective ... */
	size_t count; /* ... and its count */
};

/* The same seed and most on every rank. */
void storm_init(struct storm *storm, tutti_comm *comm, uint64_t seed, size_t most);
void storm_fini(struct storm *storm);
/* One collective. *right = false if it said TUTTI_OK and gave wrong numbers. */
tutti_status storm_step(struct storm *storm, bool *right);
/* `steps` of them; stops at the first that fails or is wrong. */
tutti_status storm_steps(struct storm *storm, long steps, bool *right);

#endif /* TT_TESTS_STORM_H */
