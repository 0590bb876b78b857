/* SPDX-License-Identifier: Apache-2.0
 *
 * fabric.c - the plug-in tutti-fabric.so: its one symbol, and the table behind it.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "fabric/link.h"

TUTTI_API const tutti_transport *tutti_transport_get(void);

/* What the other side knows of it; the rest stays zero. */
static tutti_environment
own_copy(const tutti_environment *env)
{
	tutti_environment copy = {0};

	memcpy(&copy, env, tt_min_size(env->size, sizeof(copy)));
	return copy;
}

static tutti_status
probe(const tutti_environment *env, char *why, size_t why_bytes)
{
	const tutti_environment own = own_copy(env);
	struct tt_fab_menu menu;

	if (tt_fab_menu_open(&own, &menu) != TUTTI_OK) {
		if (why_bytes > 0)
			snprintf(why, why_bytes, "%s", tt_last_error()->message);
		return TUTTI_ERR_UNSUPPORTED;
	}
	tt_fab_menu_close(&menu);
	return TUTTI_OK;
}

static tutti_status
open_endpoint(const tutti_environment *env, tutti_endpoint **endpoint)
{
	const tutti_environment own = own_copy(env);

	return tt_fab_endpoint_open(&own, endpoint);
}

static void
properties(const tutti_endpoint *endpoint, tutti_properties *out)
{
	/* Guesses for a card, and for a provider that goes through the kernel; whoever needs better ones measures. */
	const bool card = endpoint->device.pins;

	*out = (tutti_properties){
	    .size = sizeof(*out),
	    .capabilities = TUTTI_CAN_FOLD | (endpoint->device.wait_fd >= 0 ? (uint32_t)TUTTI_CAN_WAIT : 0),
	    .latency_ns = card ? 3e3 : 15e3,
	    .bytes_per_s = card ? 10e9 : 3e9,
	    .best_chunk = TT_FAB_CHUNK_BYTES,
	};
}

static tutti_status
connect_peer(tutti_endpoint *endpoint, int peer, const void *address, size_t bytes, tutti_link **link)
{
	tutti_link *made;

	TT_TRY(tt_fab_endpoint_link(endpoint, peer, &made));
	TT_TRY(tt_fab_link_know(made, address, bytes));
	*link = made;
	return TUTTI_OK;
}

static tutti_status
offer(const tutti_environment *env, void *said)
{
	const tutti_environment own = own_copy(env);
	struct tt_fab_menu menu;

	memset(said, 0, TUTTI_OFFER_BYTES);
	TT_TRY(tt_fab_menu_open(&own, &menu));
	memcpy(said, &menu.offer, sizeof(menu.offer));
	tt_fab_menu_close(&menu);
	return TUTTI_OK;
}

static tutti_status
agree(const tutti_environment *env, char *why, size_t why_bytes)
{
	const tutti_environment own = own_copy(env);
	struct tt_fab_way way;

	return tt_fab_offers_agree(own.offers, own.nranks, &way, why, why_bytes);
}

static void
last_failure(char *message, size_t message_bytes)
{
	if (message_bytes > 0)
		snprintf(message, message_bytes, "%s", tt_last_error()->message);
}

const tutti_transport *
tutti_transport_get(void)
{
	static const tutti_transport table = {
	    .size = sizeof(tutti_transport),
	    .abi = TUTTI_TRANSPORT_ABI,
	    .name = "fabric",
	    .probe = probe,
	    .open = open_endpoint,
	    .close = tt_fab_endpoint_close,
	    .properties = properties,
	    .address = tt_fab_endpoint_address,
	    .connect = connect_peer,
	    .send = tt_fab_link_send,
	    .recv = tt_fab_link_recv,
	    .progress = tt_fab_endpoint_progress,
	    .error = tt_fab_link_error,
	    .cancel = tt_fab_endpoint_cancel,
	    .wait_fd = tt_fab_endpoint_wait_fd,
	    .arm = tt_fab_endpoint_arm,
	    .disarm = tt_fab_endpoint_disarm,
	    .offer = offer,
	    .agree = agree,
	    .why = last_failure,
	};

	return &table;
}
