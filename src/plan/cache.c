/* SPDX-License-Identifier: Apache-2.0
 *
 * cache.c - plans by maker and shape, bounded in bytes, least recently used goes first.
 *
 * Entries hang in a hash table for finding and in a list by age for evicting. A pinned entry is never evicted; what
 * exceeds the bound leaves when it is unpinned.
 */
#include "base/error.h"
#include "base/memory.h"
#include "plan/plan.h"

enum { BUCKETS = 256 };

struct entry {
	struct tt_plan plan; /* first: a plan lent is its entry */
	tt_plan_maker maker;
	const int *node_of; /* its identity: a job's map does not change */
	int nnodes;
	const int *order; /* likewise */
	size_t bytes;
	unsigned pins;
	struct entry *next; /* in its bucket */
	struct entry *older, *younger;
};

struct tt_plan_cache {
	struct entry *buckets[BUCKETS];
	struct entry *oldest, *youngest;
	size_t bytes, most_bytes;
};

static size_t
bucket_of(tt_plan_maker maker, const struct tt_shape *shape)
{
	uint64_t h = (uint64_t)(uintptr_t)maker >> 4;

	h = h * 31 + (uint64_t)shape->root;
	h = h * 31 + (uint64_t)shape->collective;
	h = h * 2 + shape->in_place;
	h = h * 31 + (uint64_t)shape->rank;
	return (size_t)((h * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static bool
matches(const struct entry *e, tt_plan_maker maker, const struct tt_shape *shape)
{
	const struct tt_shape *s = &e->plan.shape;

	return e->maker == maker && s->collective == shape->collective && s->rank == shape->rank &&
	       s->nranks == shape->nranks && s->root == shape->root && s->in_place == shape->in_place &&
	       e->node_of == shape->node_of && e->nnodes == shape->nnodes && e->order == shape->order;
}

static void
unlink_by_age(struct tt_plan_cache *cache, struct entry *e)
{
	*(e->older ? &e->older->younger : &cache->oldest) = e->younger;
	*(e->younger ? &e->younger->older : &cache->youngest) = e->older;
}

static void
link_youngest(struct tt_plan_cache *cache, struct entry *e)
{
	e->younger = NULL;
	e->older = cache->youngest;
	*(cache->youngest ? &cache->youngest->younger : &cache->oldest) = e;
	cache->youngest = e;
}

static void
drop(struct tt_plan_cache *cache, struct entry *e)
{
	struct tt_shape shape = e->plan.shape;
	struct entry **at = &cache->buckets[bucket_of(e->maker, &shape)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	unlink_by_age(cache, e);
	cache->bytes -= e->bytes;
	tt_plan_fini(&e->plan);
	tt_free(e);
}

static void
shrink(struct tt_plan_cache *cache)
{
	for (struct entry *e = cache->oldest, *next; e && cache->bytes > cache->most_bytes; e = next) {
		next = e->younger;
		if (e->pins == 0)
			drop(cache, e);
	}
}

static tutti_status
make_entry(tt_plan_maker maker, const struct tt_shape *shape, struct entry **made)
{
	void *memory;
	struct entry *e;

	TT_TRY(tt_alloc(1, sizeof(*e), "a cached plan", &memory));
	e = memory;
	const tutti_status status = tt_plan_make_ordered(maker, shape, &e->plan);

	if (status != TUTTI_OK) {
		tt_plan_fini(&e->plan);
		tt_free(e);
		return status;
	}
	e->maker = maker;
	e->node_of = shape->node_of;
	e->nnodes = shape->nnodes;
	e->order = shape->order;
	e->bytes =
	    sizeof(*e) + e->plan.steps_room * sizeof(struct tt_step) + e->plan.spans_room * sizeof(struct tt_span);
	*made = e;
	return TUTTI_OK;
}

tutti_status
tt_plan_cache_create(size_t most_bytes, struct tt_plan_cache **cache)
{
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(**cache), "the plan cache", &memory));
	*cache = memory;
	(*cache)->most_bytes = most_bytes;
	return TUTTI_OK;
}

void
tt_plan_cache_destroy(struct tt_plan_cache *cache)
{
	if (!cache)
		return;
	while (cache->oldest)
		drop(cache, cache->oldest);
	tt_free(cache);
}

tutti_status
tt_plan_cache_get(
    struct tt_plan_cache *cache, tt_plan_maker maker, const struct tt_shape *shape, const struct tt_plan **plan)
{
	struct entry **bucket = &cache->buckets[bucket_of(maker, shape)];
	struct entry *e = *bucket;

	while (e && !matches(e, maker, shape))
		e = e->next;
	if (e) {
		unlink_by_age(cache, e);
	} else {
		TT_TRY(make_entry(maker, shape, &e));
		e->next = *bucket;
		*bucket = e;
		cache->bytes += e->bytes;
	}
	link_youngest(cache, e);
	e->pins++;
	*plan = &e->plan;
	shrink(cache);
	return TUTTI_OK;
}

void
tt_plan_unpin(struct tt_plan_cache *cache, const struct tt_plan *plan)
{
	struct entry *e = (struct entry *)(uintptr_t)plan;

	e->pins--;
	shrink(cache);
}
