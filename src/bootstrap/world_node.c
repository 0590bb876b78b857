/* SPDX-License-Identifier: Apache-2.0
 *
 * world_node.c - offering, taking and proving a node's segment.
 *
 * The segments on offer are this file's one process-wide list: a thread of the leader's process looks its leader's
 * mapping up by a random number. A pointer in a message could outlive what it points to; under the lock of the
 * list a segment is there or is not.
 */
#include "bootstrap/world_node.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/process_lock.h"

#define NONCE_BYTES TT_KEY_BYTES

struct offered {
	struct offered *next;
	unsigned char id[16];
	struct tt_segment *segment; /* the leader's: lent */
	uint32_t generation;
};

static struct {
	struct tt_process_lock lock;
	struct offered *first;
} offers;

static tutti_status
list_offer(const unsigned char id[16], struct tt_segment *segment)
{
	struct offered *made;
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(*made), "an offer of shared memory", &memory));
	made = memory;
	memcpy(made->id, id, sizeof(made->id));
	made->segment = segment;
	made->generation = tt_process_generation();
	tt_process_lock(&offers.lock);
	made->next = offers.first;
	offers.first = made;
	tt_process_unlock(&offers.lock);
	return TUTTI_OK;
}

static struct offered **
find_offer(const unsigned char id[16])
{
	struct offered **at = &offers.first;

	/* A forked child inherits the list, but not the memory. */
	while (*at != NULL &&
	       (memcmp((*at)->id, id, sizeof((*at)->id)) != 0 || (*at)->generation != tt_process_generation()))
		at = &(*at)->next;
	return at;
}

static void
unlist_offer(const unsigned char id[16])
{
	struct offered **at, *found;

	tt_process_lock(&offers.lock);
	at = find_offer(id);
	found = *at;
	if (found != NULL)
		*at = found->next;
	tt_process_unlock(&offers.lock);
	tt_free(found);
}

static struct tt_segment *
share_offered(const unsigned char id[16])
{
	struct tt_segment *segment = NULL;
	struct offered *found;

	tt_process_lock(&offers.lock);
	found = *find_offer(id);
	if (found != NULL)
		segment = tt_segment_share(found->segment);
	tt_process_unlock(&offers.lock);
	return segment;
}

/* ---- leader ---------------------------------------------------------------------------------------------- */

static tutti_status
begin_offers(struct tt_node *node)
{
	tutti_status status;

	/* What an earlier leader had given. */
	tt_segment_close(node->segment);
	node->segment = NULL;
	TT_TRY(tt_segment_create(&node->segment));
	status = tt_segment_take(node->segment, NONCE_BYTES, &node->nonce_at);
	tt_random(node->id, sizeof(node->id));
	if (status == TUTTI_OK)
		status = list_offer(node->id, node->segment);
	if (status != TUTTI_OK) {
		tt_segment_close(node->segment);
		node->segment = NULL;
		return status;
	}
	tt_random(tt_segment_at(node->segment, node->nonce_at), NONCE_BYTES);
	node->offering = true;
	return TUTTI_OK;
}

tutti_status
tt_node_offer(struct tt_node *node, struct tt_link *member, const unsigned char process[16])
{
	struct tt_offer offer = {.descriptor_follows = false};
	unsigned char bytes[TT_OFFER_BYTES], mine[16];

	if (!node->offering)
		TT_TRY(begin_offers(node));
	tt_process_identity(mine);
	offer.nonce_at = node->nonce_at;
	offer.descriptor_follows = memcmp(process, mine, sizeof(mine)) != 0;
	memcpy(offer.id, node->id, sizeof(offer.id));
	tt_offer_write(&offer, bytes);
	TT_TRY(tt_link_send(member, TT_FRAME_OFFER, bytes, sizeof(bytes), NULL, 0));
	if (offer.descriptor_follows)
		tt_link_send_descriptor(member, tt_segment_fd(node->segment));
	return TUTTI_OK;
}

static void
prove(const void *nonce, int rank, unsigned char proof[TT_KEY_BYTES])
{
	unsigned char copy[NONCE_BYTES];

	memcpy(copy, nonce, sizeof(copy));
	tt_key_derive(copy, "segment", (uint64_t)rank, proof);
}

bool
tt_node_check_proof(const struct tt_node *node, const struct tt_link *member, const void *bytes, size_t n)
{
	unsigned char expected[TT_KEY_BYTES];

	if (!node->offering || n != sizeof(expected))
		return false;
	prove(tt_segment_at(node->segment, node->nonce_at), member->peer.rank, expected);
	return memcmp(expected, bytes, n) == 0;
}

void
tt_node_end_offers(struct tt_node *node)
{
	if (!node->offering)
		return;
	unlist_offer(node->id);
	tt_segment_give(node->segment, node->nonce_at, NONCE_BYTES);
	node->offering = false;
}

void
tt_node_drop(struct tt_node *node)
{
	tt_node_end_offers(node);
	tt_segment_close(node->segment);
	node->segment = NULL;
	node->from = NULL;
}

/* ---- member ---------------------------------------------------------------------------------------------- */

/* The mapping is there, or (NULL) it is not: answers with what it shows. */
static tutti_status
answer(struct tt_node *node, struct tt_link *leader, int rank, struct tt_segment *segment)
{
	unsigned char proof[TT_KEY_BYTES];
	const uint64_t at = node->from_at;

	tt_segment_close(node->segment);
	node->segment = segment;
	node->from = NULL;
	if (segment == NULL || at > UINT64_MAX - NONCE_BYTES || tt_segment_at(segment, at + NONCE_BYTES - 1) == NULL)
		return tt_link_send(leader, TT_FRAME_PROOF, NULL, 0, NULL, 0);
	prove(tt_segment_at(segment, at), rank, proof);
	return tt_link_send(leader, TT_FRAME_PROOF, proof, sizeof(proof), NULL, 0);
}

tutti_status
tt_node_take_offer(struct tt_node *node, struct tt_link *leader, int rank, const void *bytes, size_t n)
{
	struct tt_offer offer;

	if (!tt_offer_read(bytes, n, &offer))
		return tt_fail(TUTTI_ERR_INTERNAL, leader->peer.rank,
		    "rank %d offered memory in a way that makes no sense", leader->peer.rank);
	node->from = leader;
	node->from_at = offer.nonce_at;
	if (offer.descriptor_follows) {
		tt_link_expect_descriptor(leader);
		return TUTTI_OK;
	}
	return answer(node, leader, rank, share_offered(offer.id));
}

tutti_status
tt_node_take_descriptor(struct tt_node *node, struct tt_link *leader, int rank)
{
	struct tt_segment *segment = NULL;
	const int fd = leader->descriptor_in;

	leader->descriptor_in = -1;
	if (fd >= 0 && tt_segment_open(fd, &segment) != TUTTI_OK)
		segment = NULL;
	return answer(node, leader, rank, segment);
}
