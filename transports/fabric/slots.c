/* SPDX-License-Identifier: Apache-2.0
 *
 * slots.c - slots, chunks, and the way of messages to the provider.
 *
 * The provider may refuse at any time (EAGAIN): a message that is made stays in the ring, in its order, until the
 * provider takes it. Nothing here loops on a refusal; how long they go on is watched by the link's tick.
 */
#include "fabric/slots.h"

#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/memory.h"
#include "fabric/link.h"

/* Untouched pages cost nothing, unless they are registered with a provider that pins them. */
static tutti_status
get_memory(size_t bytes, unsigned char **memory)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return tt_fail_errno("cannot get %zu bytes for the fabric transport", bytes);
	*memory = at;
	return TUTTI_OK;
}

tutti_status
tt_fab_slab_init(struct tt_fab_slab *slab, struct tt_fab_device *device, uint32_t nslots, size_t slot_bytes,
    enum tt_fab_op_kind kind)
{
	const size_t stride = tt_round_up(slot_bytes, 64);
	void *memory;

	*slab = (struct tt_fab_slab){.nslots = nslots, .memory_bytes = nslots * stride};
	TT_TRY(tt_alloc(nslots, sizeof(struct tt_fab_slot), "slots for messages", &memory));
	slab->slots = memory;
	TT_TRY(get_memory(slab->memory_bytes, &slab->memory));
	TT_TRY(tt_fab_register(device, slab->memory, slab->memory_bytes, FI_SEND | FI_RECV, &slab->mr));
	for (uint32_t i = 0; i < nslots; i++) {
		slab->slots[i].op.kind = kind;
		slab->slots[i].bytes = slab->memory + i * stride;
		slab->slots[i].desc = slab->mr.desc;
	}
	return TUTTI_OK;
}

void
tt_fab_slab_unregister(struct tt_fab_slab *slab)
{
	tt_fab_unregister(&slab->mr);
}

void
tt_fab_slab_fini(struct tt_fab_slab *slab)
{
	tt_fab_unregister(&slab->mr);
	if (slab->memory != NULL)
		munmap(slab->memory, slab->memory_bytes);
	tt_free(slab->slots);
	*slab = (struct tt_fab_slab){0};
}

tutti_status
tt_fab_chunks_init(struct tt_fab_chunks *chunks, struct tt_fab_device *device, uint64_t access)
{
	const size_t bytes = TT_FAB_CHUNKS * TT_FAB_CHUNK_BYTES;

	*chunks = (struct tt_fab_chunks){0};
	TT_TRY(get_memory(bytes, &chunks->memory));
	TT_TRY(tt_fab_register(device, chunks->memory, bytes, access, &chunks->mr));
	for (; chunks->nfree < TT_FAB_CHUNKS; chunks->nfree++)
		chunks->free[chunks->nfree] = chunks->memory + chunks->nfree * TT_FAB_CHUNK_BYTES;
	return TUTTI_OK;
}

void
tt_fab_chunks_fini(struct tt_fab_chunks *chunks)
{
	tt_fab_unregister(&chunks->mr);
	if (chunks->memory != NULL)
		munmap(chunks->memory, TT_FAB_CHUNKS * TT_FAB_CHUNK_BYTES);
	*chunks = (struct tt_fab_chunks){0};
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

static bool
post_receive(tutti_endpoint *endpoint)
{
	struct tt_fab_slot *slot = endpoint->spare;
	ssize_t code;

	/* A message that came in may have been the end of the device. */
	if (slot == NULL || endpoint->stopped)
		return false;
	code = fi_recv(
	    endpoint->device.ep, slot->bytes, endpoint->slot_bytes, slot->desc, FI_ADDR_UNSPEC, &slot->op.context);
	if (code != 0)
		return false;
	endpoint->spare = slot->next;
	slot->busy = true;
	return true;
}

bool
tt_fab_link_runs_dry(const tutti_link *link)
{
	return link->owed >= link->endpoint->credit / 4;
}

void
tt_fab_link_refill(tutti_link *link)
{
	tutti_endpoint *endpoint = link->endpoint;

	while (endpoint->strays > 0 && post_receive(endpoint))
		endpoint->strays--;
	while (link->owed > 0 && post_receive(endpoint)) {
		link->owed--;
		link->posted_in++;
		link->blocked_ns = 0;
	}
}

void
tt_fab_slot_put(tutti_endpoint *endpoint, struct tt_fab_slot *slot)
{
	slot->next = endpoint->spare;
	endpoint->spare = slot;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static struct tt_fab_slot *
slot_of(const tutti_link *link, uint32_t seq)
{
	return &link->ring.slab.slots[seq & link->ring.mask];
}

struct tt_fab_slot *
tt_fab_message(tutti_link *link, uint32_t lane, enum tt_fab_kind kind)
{
	const uint32_t kept = kind == TT_FAB_TELL ? 0 : TT_FAB_RESERVE;
	struct tt_fab_slot *slot = slot_of(link, link->next_out);

	if (link->next_out - link->acked + kept >= link->ring.credit || slot->busy)
		return NULL;
	/* Credit is counted from the receives that the hello has told of. */
	if (link->failed || !link->greeted || (!link->heard && !tt_fab_link_begins(link)))
		return NULL;
	*tt_fab_head_of(slot) = (struct tt_fab_head){
	    .token = link->token_out,
	    .seq = link->next_out,
	    .from = (uint16_t)link->endpoint->rank,
	    .kind = (uint8_t)kind,
	    .lane = (uint16_t)lane,
	};
	return slot;
}

void
tt_fab_message_send(tutti_link *link, struct tt_fab_slot *slot, size_t bytes, tutti_transfer *transfer)
{
	struct tt_fab_head *head = tt_fab_head_of(slot);
	struct tt_fab_lane *lane = &link->lanes[head->lane];

	head->consumed = link->consumed_told = link->posted_in - link->endpoint->credit;
	head->used = lane->heads_told = lane->heads_used;
	slot->link = link;
	slot->transfer = transfer;
	slot->length = sizeof(*head) + bytes;
	link->next_out++;
	tt_fab_link_post(link);
}

/* Small ones go without a completion, once the provider has shown that it is connected: one that merely keeps the
 * message until then would report what has not left yet as sent. */
static ssize_t
post(tutti_link *link, struct tt_fab_slot *slot)
{
	struct tt_fab_device *device = &link->endpoint->device;

	if (link->warm && slot->length <= device->inject) {
		const ssize_t code = fi_inject(device->ep, slot->bytes, slot->length, link->to);

		if (code == 0 && slot->transfer != NULL) {
			tutti_transfer *transfer = slot->transfer;

			slot->transfer = NULL;
			tt_fab_send_step(link, transfer);
		}
		return code;
	}
	slot->busy = true;
	{
		const ssize_t code =
		    fi_send(device->ep, slot->bytes, slot->length, slot->desc, link->to, &slot->op.context);

		slot->busy = code == 0;
		return code;
	}
}

void
tt_fab_link_post(tutti_link *link)
{
	while (link->posted_out != link->next_out && link->status == TUTTI_OK && !link->failed) {
		const ssize_t code = post(link, slot_of(link, link->posted_out));

		if (code == -FI_EAGAIN) {
			link->blocked = link->dirty = true;
			return;
		}
		if (code != 0) {
			tt_fab_link_fail(link, "rank %d: libfabric provider %s cannot send: %s", link->peer,
			    link->endpoint->device.provider, fi_strerror((int)-code));
			return;
		}
		link->posted_out++;
		link->blocked_ns = 0;
	}
}

void
tt_fab_sent(struct tt_fab_slot *slot)
{
	tutti_transfer *transfer = slot->transfer;
	tutti_link *link = slot->link;

	slot->busy = false;
	slot->transfer = NULL;
	link->warm = link->dirty = true;
	if (transfer != NULL)
		tt_fab_send_step(link, transfer);
}
