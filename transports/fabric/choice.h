/* SPDX-License-Identifier: Apache-2.0
 *
 * choice.h - which of libfabric's providers, which card, and how it is used.
 *
 * Every rank lists the ways that it has, the best first. All ranks must take the same way: the same provider in the
 * same version, used on the same rung of the ladder. What a provider is able to do is asked of it, not looked up.
 */
#ifndef TT_FABRIC_CHOICE_H
#define TT_FABRIC_CHOICE_H

#include <rdma/fabric.h>
#include <tutti/transport.h>

#include "base/port.h"

#define TT_FAB_API FI_VERSION(1, 17)
#define TT_FAB_WAYS 5

enum tt_fab_rung {
	TT_FAB_WRITES_TELL = 1, /* writes carry the number of their window */
	TT_FAB_WRITES = 2, /* writes, and a message when a window is full */
	TT_FAB_MESSAGES = 3, /* messages only */
};

struct tt_fab_way {
	char provider[32];
	uint32_t version; /* of the provider */
	uint32_t rung;
};

/* What a rank tells the others before anything is opened. */
struct tt_fab_offer {
	char magic[8];
	uint32_t libfabric; /* its version */
	uint32_t nways;
	struct tt_fab_way ways[TT_FAB_WAYS];
};

_Static_assert(sizeof(struct tt_fab_offer) <= TUTTI_OFFER_BYTES, "must fit into an offer");

struct tt_fab_menu {
	struct tt_fab_offer offer;
	struct fi_info *info[TT_FAB_WAYS]; /* how to open each way; owned */
};

/* The ways of this rank. env->provider: NULL = those fit for use, "rdma" = those with a card of their own, or a name,
 * which may be followed by "/write" or "/messages" to keep to a lower rung. ERR_UNSUPPORTED: there is none. */
tutti_status tt_fab_menu_open(const tutti_environment *env, struct tt_fab_menu *menu);
/* The same with another folder of PCI devices than the kernel's, for tests. */
tutti_status tt_fab_menu_open_at(const tutti_environment *env, const char *devices, struct tt_fab_menu *menu);
/* Any state. */
void tt_fab_menu_close(struct tt_fab_menu *menu);
/* The index in every rank's order of ways of rank 0's first way that all ranks have. why[] names a rank that has none. */
tutti_status tt_fab_offers_agree(const void *offers, int nranks, struct tt_fab_way *way, char *why, size_t why_bytes);
/* The menu's entry for a way; -1 = it has none. */
int tt_fab_menu_find(const struct tt_fab_menu *menu, const struct tt_fab_way *way);

/* "verbs;ofi_rxm 117.0", "..., messages only". */
void tt_fab_way_print(const struct tt_fab_way *way, char *text, size_t bytes);

#endif /* TT_FABRIC_CHOICE_H */
