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

#define TT_MEMO_ENTRIES 64 /* a power of two */

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
	struct tt_memo_entry entries[TT_MEMO_ENTRIES];
};

static inline bool
tt_memo_holds(const struct tt_memo_entry *entry, const struct tt_memo_key *key)
{
	const struct tt_memo_key *k = &entry->key;

	return entry->plan != NULL && k->count == key->count && k->root == key->root &&
	       k->collective == key->collective && k->dtype == key->dtype && k->op == key->op &&
	       k->in_place == key->in_place;
}

/* The key's entry if there is one, else the place for it. A key has two places, so that two calls that a program makes in
 * turns do not drive each other out. */
static inline struct tt_memo_entry *
tt_memo_slot(struct tt_memo *memo, const struct tt_memo_key *key)
{
	uint64_t h = key->count ^ ((uint64_t)(uint32_t)key->root << 32);
	struct tt_memo_entry *first, *second;

	h ^= (uint64_t)key->collective << 8 | (uint64_t)key->dtype << 16 | (uint64_t)key->op << 24 | key->in_place;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	first = &memo->entries[h >> 58];
	second = &memo->entries[h >> 58 ^ 1];
	if (tt_memo_holds(first, key))
		return first;
	if (tt_memo_holds(second, key))
		return second;
	return first->plan != NULL && second->plan == NULL ? second : first;
}

#endif /* TT_COMM_MEMO_H */
