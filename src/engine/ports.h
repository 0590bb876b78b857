/* SPDX-License-Identifier: Apache-2.0
 *
 * ports.h - the ways from this rank to the others: the endpoints of a communicator and one link per peer.
 *
 * Which transport joins which pair is decided once, at creation, from agreed facts. Used by one thread at a time,
 * but for the bell.
 */
#ifndef TT_ENGINE_PORTS_H
#define TT_ENGINE_PORTS_H

#include <tutti/transport.h>

#include "base/port.h"

#define TT_PORTS_TRANSPORTS 4

struct tt_port {
	const tutti_transport *transport;
	tutti_endpoint *endpoint;
	tutti_properties properties;
};

struct tt_ports {
	int rank, nranks;
	struct tt_port port[TT_PORTS_TRANSPORTS];
	int nports;
	struct tt_peer {
		tutti_link *link; /* NULL: not reached */
		uint8_t port;
	} * peers; /* nranks of them, owned */
	int bell; /* eventfd that wakes a sleeper, -1 = none */
	bool cancelled;
};

tutti_status tt_ports_init(struct tt_ports *ports, int rank, int nranks);
/* Passes on what a call of a transport returned. A plug-in has an error record of its own: what it says becomes this
 * library's. */
tutti_status tt_transport_failed(const tutti_transport *transport, tutti_status status);
/* Opens one more endpoint. */
tutti_status tt_ports_open(struct tt_ports *ports, const tutti_transport *transport, const tutti_environment *env);
/* Address of port `port`: TUTTI_ADDRESS_BYTES of room. */
tutti_status tt_ports_address(struct tt_ports *ports, int port, void *address, size_t *bytes);
tutti_status tt_ports_connect(struct tt_ports *ports, int port, int peer, const void *address, size_t bytes);
/* Any state, twice is fine. */
void tt_ports_fini(struct tt_ports *ports);

static inline tutti_status
tt_ports_send(struct tt_ports *ports, int peer, tutti_transfer *transfer)
{
	const struct tt_peer *p = &ports->peers[peer];

	return ports->port[p->port].transport->send(p->link, transfer);
}

static inline tutti_status
tt_ports_recv(struct tt_ports *ports, int peer, tutti_transfer *transfer)
{
	const struct tt_peer *p = &ports->peers[peer];

	return ports->port[p->port].transport->recv(p->link, transfer);
}

static inline int
tt_ports_progress(struct tt_ports *ports)
{
	int moved = 0;

	for (int i = 0; i < ports->nports; i++)
		moved += ports->port[i].transport->progress(ports->port[i].endpoint);
	return moved;
}

/* Why the link to `peer` is dead. */
tutti_status tt_ports_error(const struct tt_ports *ports, int peer, char *message, size_t bytes);
/* Whose end is the reason for that of the link to `peer`: its own, or that of the peer whose link took it along; -1 = it
 * is not known here. message and status are of the link that was found. Whoever has left is no
 * reason. */
int tt_ports_culprit(const struct tt_ports *ports, int peer, bool (*has_left)(void *context, int rank), void *context,
    char *message, size_t bytes, tutti_status *status);
/* Ends everything that is pending and forgets the callers' buffers; nothing works afterwards. */
void tt_ports_cancel(struct tt_ports *ports);
/* Sleeps until something may have happened, the bell rings, or the time has passed. */
void tt_ports_sleep(struct tt_ports *ports, int most_ms);
/* Wakes a sleeper; any thread, async-signal-safe. */
void tt_ports_ring(const struct tt_ports *ports);

#endif /* TT_ENGINE_PORTS_H */
