/* SPDX-License-Identifier: Apache-2.0
 *
 * world_node.h - a node's segment: made by the leader, handed to the members, and proved to be shared.
 *
 * Nothing is inferred from host names, process numbers or namespaces: the leader writes 32 random bytes into the
 * segment, a member reads them through its own mapping and returns their keyed hash. Whoever cannot is a node of
 * its own. Ranks that are threads of the leader's process take the leader's mapping itself.
 */
#ifndef TT_BOOTSTRAP_WORLD_NODE_H
#define TT_BOOTSTRAP_WORLD_NODE_H

#include "base/segment.h"
#include "bootstrap/world_link.h"

struct tt_node {
	struct tt_segment *segment; /* the leader's or the member's mapping */
	bool offering; /* the fields below are valid */
	unsigned char id[16]; /* in this process's list of segments on offer */
	uint64_t nonce_at;
	struct tt_link *from; /* member: whose offer is being taken */
	uint64_t from_at;
};

/* Leader. Makes the segment when first asked. On failure the member shares no memory. */
tutti_status tt_node_offer(struct tt_node *node, struct tt_link *member, const unsigned char process[16]);
bool tt_node_check_proof(const struct tt_node *node, const struct tt_link *member, const void *bytes, size_t n);
/* Member: takes a frame OFFER or DESCRIPTOR and answers with a proof, an empty one if it got no memory. */
tutti_status tt_node_take_offer(struct tt_node *node, struct tt_link *leader, int rank, const void *bytes, size_t n);
tutti_status tt_node_take_descriptor(struct tt_node *node, struct tt_link *leader, int rank);
/* No more offers; the segment stays. */
void tt_node_end_offers(struct tt_node *node);
/* Lets everything go. */
void tt_node_drop(struct tt_node *node);

#endif /* TT_BOOTSTRAP_WORLD_NODE_H */
