/* SPDX-License-Identifier: Apache-2.0
 *
 * values.c - symbolic values: see values.h.
 */
#include <string.h>

#include "base/memory.h"
#include "base/error.h"
#include "plan/values.h"

struct tt_memo {
	uint64_t hash;
	size_t tuple;
	uint32_t n; /* operands; 0 = a free place */
	uint32_t how, result;
};

static tutti_status
grow(void **array, size_t used, size_t room, size_t size)
{
	void *more;

	TT_TRY(tt_alloc(room, size, "the checker's values", &more));
	if (*array)
		memcpy(more, *array, used * size);
	tt_free(*array);
	*array = more;
	return TUTTI_OK;
}

static uint64_t *
set_of(const struct tt_values *v, uint32_t id)
{
	return v->sets + (size_t)id * v->words;
}

static tutti_status
append(struct tt_values *v, uint32_t *id)
{
	if (v->n == v->room) {
		const uint32_t room = v->room ? 2 * v->room : (uint32_t)v->nranks + 64;

		TT_TRY(grow((void **)&v->value, v->n, room, sizeof(*v->value)));
		TT_TRY(grow((void **)&v->sets, v->n * v->words, room * v->words, sizeof(*v->sets)));
		v->room = room;
	}
	*id = v->n++;
	return TUTTI_OK;
}

tutti_status
tt_values_init(struct tt_values *values, int nranks)
{
	uint32_t id;

	*values = (struct tt_values){.nranks = nranks, .words = ((size_t)nranks + 63) / 64};
	TT_TRY(append(values, &id));
	for (int r = 0; r < nranks; r++) {
		TT_TRY(append(values, &id));
		values->value[id] =
		    (struct tt_value){.least = r, .most = r, .ranks = 1, .raw = true, .once = true, .ordered = true};
		set_of(values, id)[r / 64] |= UINT64_C(1) << (r % 64);
	}
	return TUTTI_OK;
}

void
tt_values_fini(struct tt_values *values)
{
	tt_free(values->value);
	tt_free(values->sets);
	tt_free(values->memo);
	tt_free(values->tuples);
	*values = (struct tt_values){0};
}

/* The place of this combination in the memo, or the free place where it belongs. */
static struct tt_memo *
memo_find(const struct tt_values *v, uint64_t hash, const uint32_t *operands, int n, enum tt_combine how)
{
	for (uint64_t at = hash;; at++) {
		struct tt_memo *m = &v->memo[at & (v->memo_room - 1)];

		if (m->n == 0 || (m->hash == hash && m->n == (uint32_t)n && m->how == (uint32_t)how &&
				     memcmp(v->tuples + m->tuple, operands, (size_t)n * sizeof(*operands)) == 0))
			return m;
	}
}

static tutti_status
memo_grow(struct tt_values *v)
{
	struct tt_memo *old = v->memo;
	const uint32_t old_room = v->memo_room;
	void *memory;

	if (2 * (v->memo_n + 1) <= old_room)
		return TUTTI_OK;
	v->memo_room = old_room ? 2 * old_room : 256;
	if (tt_alloc(v->memo_room, sizeof(*v->memo), "the checker's values", &memory) != TUTTI_OK) {
		v->memo_room = old_room;
		return TUTTI_ERR_NOMEM;
	}
	v->memo = memory;
	for (uint32_t i = 0; i < old_room; i++) {
		uint64_t at = old[i].hash;

		if (old[i].n == 0)
			continue;
		while (v->memo[at & (v->memo_room - 1)].n)
			at++;
		v->memo[at & (v->memo_room - 1)] = old[i];
	}
	tt_free(old);
	return TUTTI_OK;
}

static const char *
absorb(const struct tt_values *v, struct tt_value *into, uint64_t *set, uint32_t operand, bool overlap_is_fine)
{
	const struct tt_value *from = &v->value[operand];
	const uint64_t *more = set_of(v, operand);

	if (from->final)
		return "something is added to a result that was final";
	for (size_t w = 0; w < v->words; w++) {
		if ((set[w] & more[w]) && !overlap_is_fine)
			return "a contribution is counted twice";
		set[w] |= more[w];
	}
	into->once = into->once && from->raw;
	into->ordered = into->ordered && from->ordered && (into->ranks == 0 || into->most < from->least);
	if (into->ranks == 0 || from->least < into->least)
		into->least = from->least;
	if (into->ranks == 0 || from->most > into->most)
		into->most = from->most;
	into->ranks += from->ranks;
	return NULL;
}

static int
set_size(const struct tt_values *v, uint32_t id)
{
	int n = 0;

	for (size_t w = 0; w < v->words; w++)
		n += __builtin_popcountll(set_of(v, id)[w]);
	return n;
}

static tutti_status
combine_new(
    struct tt_values *v, const uint32_t *operands, int n, enum tt_combine how, uint32_t *result, const char **fault)
{
	struct tt_value made = {.final = how == TT_COMBINE_ADD_FINAL, .once = true, .ordered = true};
	uint32_t id;

	TT_TRY(append(v, &id));
	memset(set_of(v, id), 0, v->words * sizeof(uint64_t));
	for (int i = 0; i < n; i++) {
		*fault = absorb(v, &made, set_of(v, id), operands[i], how == TT_COMBINE_UNION);
		if (*fault) {
			v->n--;
			return TUTTI_OK;
		}
	}
	made.ranks = set_size(v, id);
	v->value[id] = made;
	*result = id;
	return TUTTI_OK;
}

tutti_status
tt_values_combine(struct tt_values *values, const uint32_t *operands, int n, enum tt_combine how, uint32_t *result,
    const char **fault)
{
	uint64_t hash = (uint64_t)how + 1;
	struct tt_memo *m;

	*fault = NULL;
	for (int i = 0; i < n; i++)
		hash = (hash ^ operands[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
	TT_TRY(memo_grow(values));
	m = memo_find(values, hash, operands, n, how);
	if (m->n) {
		*result = m->result;
		return TUTTI_OK;
	}
	TT_TRY(combine_new(values, operands, n, how, result, fault));
	if (*fault)
		return TUTTI_OK;
	if (values->tuples_n + (size_t)n > values->tuples_room) {
		const size_t room = 2 * values->tuples_room + (size_t)n + 256;

		TT_TRY(grow((void **)&values->tuples, values->tuples_n, room, sizeof(*values->tuples)));
		values->tuples_room = room;
	}
	memcpy(values->tuples + values->tuples_n, operands, (size_t)n * sizeof(*operands));
	*m = (struct tt_memo){
	    .hash = hash, .tuple = values->tuples_n, .n = (uint32_t)n, .how = (uint32_t)how, .result = *result};
	values->tuples_n += (size_t)n;
	values->memo_n++;
	return TUTTI_OK;
}
