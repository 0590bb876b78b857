/* SPDX-License-Identifier: Apache-2.0
 *
 * reach.c - see reach.h.
 */
#include "tcp/reach.h"

#include <string.h>

enum { NEAR, ROUTED, MINE, CLASSES };

static int
class_of(const struct tt_place *place, const struct tt_place *mine, int nmine)
{
	int class = ROUTED;

	for (int i = 0; i < nmine; i++) {
		if (mine[i].address.family == place->address.family &&
		    memcmp(mine[i].address.ip, place->address.ip, sizeof(place->address.ip)) == 0)
			return MINE;
		if (tt_address_near(&mine[i].address, &place->address, mine[i].prefix))
			class = NEAR;
	}
	return class;
}

void
tt_places_sort(struct tt_place *places, int nplaces, const struct tt_place *mine, int nmine)
{
	struct tt_place sorted[TT_TCP_ADDRESSES];
	int n = 0, others = 0;

	for (int class = 0; class < CLASSES; class ++) {
		others = class == MINE ? n : 0;
		for (int i = 0; i < nplaces; i++) {
			if (class_of(&places[i], mine, nmine) != class)
				continue;
			sorted[n] = places[i];
			sorted[n++].doubtful = others > 0;
		}
	}
	memcpy(places, sorted, (size_t)n * sizeof(*places));
}
