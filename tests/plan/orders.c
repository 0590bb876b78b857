/* SPDX-License-Identifier: Apache-2.0
 *
 * orders.c - what follows the order of the machine sends less between its nodes than it would by the numbers of the ranks,
 * where those go round the nodes like cards. TAP on standard output.
 */
#include <stdio.h>

#include "base/error.h"
#include "topology/map.h"
#include "world.h"

#define RANKS 24
#define NODES 4

static int
crossings(const struct tt_algorithm *algorithm, int *node_of, const struct tt_map *map)
{
	struct job job;
	int n = 0;

	job_make_ordered(&job, algorithm, RANKS, 0, OUT_OF_PLACE, node_of, NODES, map != NULL ? map->order : NULL,
	    map != NULL ? map->position : NULL);
	for (int r = 0; r < RANKS; r++)
		for (uint32_t i = 0; i < job.plans[r].nsteps; i++) {
			const struct tt_step *step = &job.plans[r].steps[i];

			n += step->kind == TT_SEND && node_of[r] != node_of[step->peer];
		}
	job_drop(&job);
	return n;
}

int
main(void)
{
	struct tt_rank_card cards[RANKS] = {{0}};
	int node_of[RANKS], done = 0, failed = 0;
	struct tt_map *map;

	for (int r = 0; r < RANKS; r++) {
		node_of[r] = r % NODES;
		cards[r].host = (uint64_t)node_of[r] + 1;
		for (int level = 0; level < TT_MAP_LEVELS; level++)
			cards[r].group[level] = -1;
	}
	if (tt_map_create(cards, node_of, RANKS, &map) != TUTTI_OK) {
		printf("Bail out! %s\n", tt_last_error()->message);
		return 1;
	}
	for (size_t i = 0; tt_algorithms[i] != NULL; i++) {
		const struct tt_algorithm *algorithm = tt_algorithms[i];
		int numbered, ordered;

		if ((algorithm->flags & TT_ALG_NEIGHBOURS) == 0)
			continue;
		numbered = crossings(algorithm, node_of, NULL);
		ordered = crossings(algorithm, node_of, map);
		printf("%sok %d - %s %s sends between nodes less often in the machine's order: %d messages, not %d\n",
		    2 * ordered <= numbered ? "" : "not ", ++done, tt_collective_name(algorithm->collective),
		    algorithm->name, ordered, numbered);
		failed += 2 * ordered > numbered;
	}
	printf("1..%d\n", done);
	tt_map_destroy(map);
	return failed != 0;
}
