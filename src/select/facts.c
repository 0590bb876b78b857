/* SPDX-License-Identifier: Apache-2.0
 *
 * facts.c - from constants and a map of the job to the facts that prices are made of, and their digest.
 */
#include <string.h>

#include "base/port.h"
#include "select/select.h"

#define PS_PER_BYTE_AT_1_MBPS 8e6
/* What a profile may ask of the node stage: it has lines of 64 bytes, types of up to 16, and memory that is bounded. */
#define CHUNK_LEAST (UINT32_C(4) << 10)
#define CHUNK_MOST (UINT32_C(1) << 30)
#define BLOCK_LEAST 256
#define SLOTS_MOST 64
/* The kernel's copy between two ranks: */
#define PAIR_TIMES 2 /* their slots hold fewer rows, which stay in cache longer: docs/decisions/0013 */
#define CALL_OF_A_RUN 0.03 /* of the time, the calls for it */
#define CACHES_OF_A_RUN 4 /* all rows of a run: more than one's own part stays in no cache anyway */
#define RUN_LEAST (UINT64_C(64) << 10)
#define RUN_MOST (UINT64_C(64) << 20)
#define MOST_LOOKS 4 /* where there are more links, the kernel is asked which of them has something */

static double
seconds(const struct tt_select_facts *facts, enum tt_constant constant)
{
	return tt_constant_s(&facts->constants, constant);
}

double
tt_select_crowd(const struct tt_select_facts *facts)
{
	const int cores = facts->cores > 0 ? facts->cores : 1;

	return facts->most_per_host > cores ? (double)((facts->most_per_host - 1) / cores + 1) : 1;
}

double
tt_select_even_crowd(const struct tt_select_facts *facts)
{
	const double cores = facts->cores > 0 ? facts->cores : 1;

	if (facts->nnodes > 1 || facts->most_per_host <= cores)
		return tt_select_crowd(facts);
	return facts->most_per_host / cores;
}

void
tt_select_facts_host(struct tt_select_facts *facts, int ranks, int cores)
{
	if ((int64_t)ranks * facts->cores < (int64_t)facts->most_per_host * cores ||
	    ((int64_t)ranks * facts->cores == (int64_t)facts->most_per_host * cores && ranks <= facts->most_per_host))
		return;
	facts->most_per_host = ranks;
	facts->cores = cores;
}

/* How much more the first of these is than the second. */
static double
excess(const struct tt_select_facts *facts, enum tt_constant more, enum tt_constant less)
{
	const double difference = seconds(facts, more) - seconds(facts, less);

	return difference > 0 ? difference : 0;
}

/* How far apart are ranks that share memory? A rank that is bound nowhere says nothing. */
static enum tt_constant
widest_handoff(const struct tt_map *map)
{
	enum tt_constant widest = TT_CONSTANT_HANDOFF;

	for (int i = 1; map != NULL && i < map->nranks; i++) {
		const struct tt_map_place *a = &map->place[map->order[i - 1]], *b = &map->place[map->order[i]];

		if (a->node != b->node)
			continue;
		if (a->group[TT_MAP_PACKAGE] >= 0 && b->group[TT_MAP_PACKAGE] >= 0 &&
		    a->group[TT_MAP_PACKAGE] != b->group[TT_MAP_PACKAGE])
			return TT_CONSTANT_HANDOFF_PACKAGE;
		if (a->group[TT_MAP_L3] >= 0 && b->group[TT_MAP_L3] >= 0 &&
		    a->group[TT_MAP_L3] != b->group[TT_MAP_L3])
			widest = TT_CONSTANT_HANDOFF_CACHE;
	}
	return widest;
}

/* Of what ranks give each other in shared memory, the part that is for a rank on another core. */
static double
between_cores(const struct tt_select_facts *facts)
{
	const double members = facts->most_per_node, crowd = tt_select_even_crowd(facts);

	return facts->nnodes == 1 && members > crowd ? (members - crowd) / (members - 1) : 1;
}

/* The four stand together in the list. What goes one way keeps two processors busy at the same time: it takes at least half
 * of what both ways take, and no more. */
static struct tt_link_cost
link(const struct tt_select_facts *facts, enum tt_constant message)
{
	const double both = seconds(facts, message + 2), one_way = seconds(facts, message + 3);

	return (struct tt_link_cost){.alpha_s = seconds(facts, message),
	    .over_s = seconds(facts, message + 1),
	    .beta_s = both,
	    .one_way_s = one_way < both / 2 ? both / 2
			 : one_way > both   ? both
					    : one_way};
}

/* What stays on a core is copied within its cache, twice. */
static void
spare_cores(const struct tt_select_facts *facts, struct tt_link_cost *link)
{
	const double between = between_cores(facts),
		     near = 2 * seconds(facts, TT_CONSTANT_COPY_CACHED) * (1 - between);

	link->beta_s = link->beta_s * between + near;
	link->one_way_s = link->one_way_s * between + near;
}

/* Up to how many bytes a root that adds all alone is quicker than members that add a slice each and meet once more: each
 * byte less costs it (members - 1) additions, and saves two copies. */
static uint64_t
root_alone(const struct tt_select_facts *facts)
{
	const double members = facts->most_per_node, all = facts->constants.value[TT_CONSTANT_ONE_MEETING];
	const double crowd = tt_select_crowd(facts), least = all / (members > 1 ? members : 1);
	const double saved = facts->meet_s + facts->call_s + (crowd > 1 ? 2 * crowd * facts->turn_s : 0);
	const double each = (members - 1) * facts->copy_s_per_byte / 2 - 2 * facts->copy_s_per_byte;
	const double most = each * all > saved ? saved / each : all;

	return (uint64_t)(most > least ? most : least);
}

/* What processors take. */
static void
take_work(struct tt_select_facts *facts)
{
	facts->call_s = seconds(facts, TT_CONSTANT_CALL);
	facts->kept_s_per_byte = seconds(facts, TT_CONSTANT_COPY_CACHED);
	facts->beyond_s_per_byte = excess(facts, TT_CONSTANT_COPY_MEMORY, TT_CONSTANT_COPY_CACHED);
	facts->beyond_add_s_per_byte = excess(facts, TT_CONSTANT_REDUCE_MEMORY, TT_CONSTANT_REDUCE_CACHED);
	facts->cache_bytes = facts->constants.value[TT_CONSTANT_CACHE];
	facts->copy_s_per_byte = seconds(facts, TT_CONSTANT_COPY_SHARED) * between_cores(facts) +
				 seconds(facts, TT_CONSTANT_COPY_CACHED) * (1 - between_cores(facts));
	facts->near_s_per_byte =
	    2 * excess(facts, TT_CONSTANT_COPY_NEAR, TT_CONSTANT_COPY_SHARED) * between_cores(facts);
	facts->reduce_s_per_byte = seconds(facts, TT_CONSTANT_REDUCE_CACHED);
	facts->far_call_s = seconds(facts, TT_CONSTANT_REMOTE_CALL);
	/* It was measured of memory that this core had in its cache. What others have in theirs is farther, but only read. */
	facts->far_s_per_byte =
	    seconds(facts, TT_CONSTANT_REMOTE_BYTE) +
	    excess(facts, TT_CONSTANT_COPY_SHARED, TT_CONSTANT_COPY_CACHED) / 2 * between_cores(facts);
	facts->turn_s = seconds(facts, TT_CONSTANT_YIELD);
	if (facts->nnodes > 1) /* who gets the core looks for messages of the others first */
		facts->turn_s += seconds(facts, TT_CONSTANT_LOOP_LOOK) *
				 (facts->nranks - 1 < MOST_LOOKS ? facts->nranks - 1 : MOST_LOOKS);
	facts->chunk_bytes =
	    facts->constants
		.value[facts->nhosts == 1 && facts->nnodes > 1 ? TT_CONSTANT_LOOP_CHUNK : TT_CONSTANT_CHUNK];
}

/* What a profile says, which may be anything, as a size or count that the stage can work with. */
static uint32_t
bounded(const struct tt_select_facts *facts, enum tt_constant constant, uint32_t least, uint32_t most)
{
	const double value = facts->constants.value[constant];

	return value < least ? least : value > most ? most : (uint32_t)value;
}

/* How much is taken from afar at once: so much that the call for it is a small part, rounded down to a power of two. */
static uint64_t
run_least(const struct tt_select_facts *facts)
{
	const double bytes = seconds(facts, TT_CONSTANT_REMOTE_CALL) / seconds(facts, TT_CONSTANT_REMOTE_BYTE);
	uint64_t least = RUN_LEAST;

	while (2 * (double)least <= bytes / CALL_OF_A_RUN && least < RUN_MOST)
		least *= 2;
	return least;
}

static void
take_stage(struct tt_select_facts *facts)
{
	const struct tt_constants *constants = &facts->constants;
	const uint32_t chunk = bounded(facts, TT_CONSTANT_STAGE_CHUNK, CHUNK_LEAST, CHUNK_MOST);

	facts->stage = (struct tt_stage_facts){.staging_bytes = (uint64_t)facts->staging_bytes,
	    .add_least = (uint64_t)constants->value[TT_CONSTANT_ONE_MEETING],
	    .reduce_least = root_alone(facts),
	    .row_least = (uint64_t)constants->value[TT_CONSTANT_ROWS_FROM],
	    .single_least = (uint64_t)constants->value[TT_CONSTANT_SINGLE_FROM],
	    .run_least = run_least(facts),
	    .run_most = (uint64_t)(CACHES_OF_A_RUN * constants->value[TT_CONSTANT_CACHE]),
	    .pair_times = PAIR_TIMES,
	    .chunk_least = chunk,
	    .chunk_most = 2 * chunk,
	    .pieces = 2,
	    .slots = bounded(facts, TT_CONSTANT_STAGE_SLOTS, 2, SLOTS_MOST),
	    .crowded_slots = bounded(facts, TT_CONSTANT_CROWDED_SLOTS, 2, SLOTS_MOST),
	    .block = bounded(facts, TT_CONSTANT_STAGE_BLOCK, BLOCK_LEAST, CHUNK_MOST),
	    .step = bounded(facts, TT_CONSTANT_STAGE_STEP, BLOCK_LEAST, CHUNK_MOST),
	    .apart = (uint64_t)constants->value[TT_CONSTANT_STAGE_APART],
	    .stream_least = (uint64_t)constants->value[TT_CONSTANT_STREAM_FROM]};
	if (facts->single_from > 0) {
		facts->stage.single_least = facts->single_from;
		facts->stage.pair_times = 1;
	}
}

void
tt_select_facts_use(struct tt_select_facts *facts, const struct tt_constants *constants, const struct tt_map *map)
{
	/* Somebody waits for the farthest. */
	const double apart = constants->value[widest_handoff(map)] / constants->value[TT_CONSTANT_HANDOFF];

	facts->constants = *constants;
	if (map != NULL) {
		facts->nhosts = map->nhosts;
		if (map->least_mbps > 0 && constants->source[TT_CONSTANT_CARD_BYTE] <= TT_CONSTANT_DERIVED)
			tt_constants_set(&facts->constants, TT_CONSTANT_CARD_BYTE,
			    PS_PER_BYTE_AT_1_MBPS / map->least_mbps, TT_CONSTANT_DERIVED);
	}
	facts->meet_s = seconds(facts, TT_CONSTANT_MEET) * apart;
	facts->same_node = link(facts, TT_CONSTANT_SHM_MESSAGE);
	facts->same_node.alpha_s *= apart;
	facts->same_node.over_s *= apart;
	spare_cores(facts, &facts->same_node);
	if (facts->nhosts > 1) {
		facts->between_nodes = link(facts, TT_CONSTANT_NET_MESSAGE);
		facts->card_s_per_byte = seconds(facts, TT_CONSTANT_CARD_BYTE);
	} else {
		facts->between_nodes = link(facts, TT_CONSTANT_LOOP_MESSAGE);
		facts->card_s_per_byte = 0;
	}
	facts->between_nodes.asked_from = facts->constants.value[TT_CONSTANT_ASKED_FROM];
	take_work(facts);
	take_stage(facts);
}

void
tt_select_facts_init(struct tt_select_facts *facts, int nranks, int nnodes, const int *node_of)
{
	struct tt_constants constants;

	memset(facts, 0, sizeof(*facts)); /* it travels as bytes, holes and all */
	facts->nranks = nranks;
	facts->nnodes = facts->nhosts = nnodes;
	facts->cores = 1;
	facts->staging_bytes = 4 << 20;
	facts->lanes = 1;
	facts->reads_far = 1;
	facts->least_per_node = nranks;
	for (int node = 0; node < nnodes; node++) {
		int members = node_of == NULL && nnodes == 1 ? nranks : 0;

		for (int r = 0; node_of != NULL && r < nranks; r++)
			members += node_of[r] == node;
		facts->most_per_node = members > facts->most_per_node ? members : facts->most_per_node;
		facts->least_per_node = members < facts->least_per_node ? members : facts->least_per_node;
	}
	facts->most_per_host = facts->most_per_node;
	tt_constants_init(&constants);
	tt_select_facts_use(facts, &constants, NULL);
}

/* ---- the digest -------------------------------------------------------------------------------------------------- */

#define SIZES 20 /* 1, 4, 16, ... bytes */

static uint64_t
mix(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ b[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t
mix_choices(uint64_t hash, const struct tt_select_facts *facts)
{
	for (int c = 0; c < TT_COLLECTIVES; c++)
		for (int i = 0; i < SIZES; i++) {
			const struct tt_select_call call = {.collective = (enum tt_collective)c,
			    .dtype = TUTTI_FLOAT32,
			    .op = TUTTI_SUM,
			    .bytes = UINT64_C(1) << (2 * i)};
			struct tt_choice choice;

			if (tt_select(facts, &call, &choice) != TUTTI_OK)
				continue;
			hash = mix(hash, choice.algorithm->name, strlen(choice.algorithm->name));
			hash = mix(hash, &choice.slices, sizeof(choice.slices));
			hash = mix(hash, &choice.predicted_s, sizeof(choice.predicted_s));
		}
	return hash;
}

uint64_t
tt_select_digest(const struct tt_select_facts *facts)
{
	struct tt_select_facts either = *facts;
	uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), facts->constants.value, sizeof(facts->constants.value));

	hash = mix(hash, &facts->stage, sizeof(facts->stage));
	for (int reads = 0; reads < 2; reads++) { /* which it is, is known later */
		either.reads_far = reads;
		hash = mix_choices(hash, &either);
	}
	return hash;
}
