/* SPDX-License-Identifier: Apache-2.0
 *
 * reach.h - in which order a peer's addresses are worth trying from here.
 *
 * Only trying tells whether an address can be reached, and one that swallows calls costs seconds. So the ones that are
 * most likely to answer come first; none is left out. A pure function.
 */
#ifndef TT_TCP_REACH_H
#define TT_TCP_REACH_H

#include "tcp/endpoint.h"

/* Is the address in a network that one of my interfaces is in? */
bool tt_place_is_near(const struct tt_address *address, const struct tt_place *mine, int nmine);

/* In front: those in a network that one of my interfaces is in; at the end: those that are my own as well, such as the
 * bridge that every host with containers has. Otherwise in the peer's order, the quickest first. If all of them are my
 * own, the peer is on this host, and nothing changes. */
void tt_places_sort(struct tt_place *places, int nplaces, const struct tt_place *mine, int nmine);

#endif /* TT_TCP_REACH_H */
