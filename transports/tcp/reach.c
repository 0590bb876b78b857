/* SPDX-License-Identifier: Apache-2.0
 *
 * reach.c - see reach.h.
 */
#include "tcp/reach.h"

#include <string.h>

enum { NEAR, ROUTED, MINE, CLASSES };

bool
tt_place_is_near(const struct tt_address *address, const struct tt_place *mine, int nmine)
{
	for (int i = 0; i < nmine; i++)
		if (tt_address_near(&mine[i].address, address, mine[i].prefix))
			return true;
	return false;
}

static int
class_of(const struct tt_place *place, const struct tt_place *mine, int nmine)
{
	for (int i = 0; i < nmine; i++)
		if (mine[i].address.family == place->address.family &&
		    memcmp(mine[i].address.ip, place->address.ip, sizeof(place->address.ip)) == 0)
			return MINE;
	return tt_place_is_near(&place->address, mine, nmine) ? NEAR : ROUTED;
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
