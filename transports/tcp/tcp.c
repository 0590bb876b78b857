/* SPDX-License-Identifier: Apache-2.0
 *
 * tcp.c - the table of functions.
 */
#include "tcp/tcp.h"

#include <stdio.h>

#include "base/error.h"
#include "tcp/endpoint.h"
#include "tcp/frame.h"
#include "tcp/link.h"

static tutti_status
probe(const tutti_environment *env, char *why, size_t why_bytes)
{
	struct tt_address addresses[TT_TCP_ADDRESSES];
	int n;

	if (tt_interfaces(env->interfaces, addresses, TT_TCP_ADDRESSES, &n) == TUTTI_OK)
		return TUTTI_OK;
	if (why_bytes > 0)
		snprintf(why, why_bytes, "%s", tt_last_error()->message);
	return TUTTI_ERR_UNSUPPORTED;
}

static void
properties(const tutti_endpoint *endpoint, tutti_properties *out)
{
	/* Guesses for a quick Ethernet; whoever needs better ones measures. */
	*out = (tutti_properties){
	    .size = sizeof(*out),
	    .capabilities = TUTTI_CAN_FOLD | TUTTI_CAN_WAIT,
	    .latency_ns = 15e3,
	    .bytes_per_s = 3e9,
	    .best_chunk = TT_CHUNK_BYTES,
	};
}

static tutti_status
connect_peer(tutti_endpoint *endpoint, int peer, const void *address, size_t bytes, tutti_link **link)
{
	tutti_link *made;

	TT_TRY(tt_endpoint_link(endpoint, peer, &made));
	TT_TRY(tt_tcp_link_know(made, address, bytes));
	*link = made;
	return TUTTI_OK;
}

static const tutti_transport table = {
    .size = sizeof(tutti_transport),
    .abi = TUTTI_TRANSPORT_ABI,
    .name = "tcp",
    .probe = probe,
    .open = tt_endpoint_open,
    .close = tt_endpoint_close,
    .properties = properties,
    .address = tt_endpoint_address,
    .connect = connect_peer,
    .send = tt_tcp_link_send,
    .recv = tt_tcp_link_recv,
    .progress = tt_endpoint_progress,
    .error = tt_tcp_link_error,
    .cancel = tt_endpoint_cancel,
    .wait_fd = tt_endpoint_wait_fd,
    .arm = tt_endpoint_arm,
    .disarm = tt_endpoint_disarm,
};

const tutti_transport *
tt_transport_tcp(void)
{
	return &table;
}
