/* SPDX-License-Identifier: Apache-2.0
 *
 * memo.h - what was chosen for a call, so that the next call of its kind need not be priced again.
 *
 * A small table. An entry keeps its plan pinned. Only calls that leave the choice to the selector
 * and have even counts are remembered: for them the choice is a function of the key.
 */
#ifndef TT_COMM_MEMO_H
#define TT_COMM_MEMO_H

#include "comm/shortcut.h"

#define TT_MEMO_ENTRIES 64 /* powers of two */
#define TT_MEMO_WAYS 4

struct tt_memo_key {
	uint64_t count;
	int32_t root;
	uint8_t collective, dtype, op, in_place;
};

struct tt_memo_entry {
	struct tt_memo_key key;
	const struct tt_plan *plan; /* NULL: the entry is empty */
	uint16_t algorithm; /* index in the table + 1 */
	int window, slices;
	struct tt_shortcut shortcut;
};

struct tt_memo {
	struct tt_memo_entry entries[TT_MEMO_ENTRIES]; /* in sets of TT_MEMO_WAYS */
	uint32_t filled[TT_MEMO_ENTRIES / TT_MEMO_WAYS]; /* entries of each set, one after the other, over and over */
};

static inline bool
tt_memo_holds(const struct tt_memo_entry *entry, const struct tt_memo_key *key)
{
	const struct tt_memo_key *k = &entry->key;

	return entry->plan != NULL && k->count == key->count && k->root == key->root &&
	       k->collective == key->collective && k->dtype == key->dtype && k->op == key->op &&
	       k->in_place == key->in_place;
}

/* Where the key's set of entries begins. */
static inline size_t
tt_memo_set(const struct tt_memo_key *key)
{
	uint64_t h = key->count ^ ((uint64_t)(uint32_t)key->root << 32);

	h ^= (uint64_t)key->collective << 8 | (uint64_t)key->dtype << 16 | (uint64_t)key->op << 24 | key->in_place;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(h >> 32) % (TT_MEMO_ENTRIES / TT_MEMO_WAYS) * TT_MEMO_WAYS;
}

/* NULL: there is none. */
static inline struct tt_memo_entry *
tt_memo_find(struct tt_memo *memo, const struct tt_memo_key *key)
{
	struct tt_memo_entry *entry = &memo->entries[tt_memo_set(key)];

	for (int i = 0; i < TT_MEMO_WAYS; i++)
		if (tt_memo_holds(entry + i, key))
			return entry + i;
	return NULL;
}

/* The entry for a key that has none: an empty one, or the one of its set that was filled before all others of it. So as many
 * calls by turns as a set has entries soon drive each other out no more, whatever was called before. */
static inline struct tt_memo_entry *
tt_memo_place(struct tt_memo *memo, const struct tt_memo_key *key)
{
	const size_t set = tt_memo_set(key);

	return &memo->entries[set + memo->filled[set / TT_MEMO_WAYS] % TT_MEMO_WAYS];
}

/* It is filled now. */
static inline void
tt_memo_take(struct tt_memo *memo, const struct tt_memo_key *key)
{
	memo->filled[tt_memo_set(key) / TT_MEMO_WAYS]++;
}

#endif /* TT_COMM_MEMO_H */
