/* SPDX-License-Identifier: Apache-2.0
 *
 * ports.c - see ports.h. The rule for sleeping: arm every endpoint first, sleep only if all of them agree, and
 * disarm those that were armed.
 */
#include "engine/ports.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"

tutti_status
tt_ports_init(struct tt_ports *ports, int rank, int nranks)
{
	void *peers;

	*ports = (struct tt_ports){.rank = rank, .nranks = nranks, .bell = -1};
	TT_TRY(tt_alloc((size_t)nranks, sizeof(struct tt_peer), "links", &peers));
	ports->peers = peers;
	ports->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ports->bell < 0)
		return tt_fail_errno("cannot make an eventfd");
	tt_fd_guard(ports->bell);
	return TUTTI_OK;
}

tutti_status
tt_transport_failed(const tutti_transport *transport, tutti_status status)
{
	char why[256] = "";

	if (status == TUTTI_OK || transport->size < offsetof(tutti_transport, why) + sizeof(transport->why) ||
	    transport->why == NULL)
		return status;
	transport->why(why, sizeof(why));
	return tt_fail(status, -1, "transport %s: %s", transport->name, why);
}

tutti_status
tt_ports_open(struct tt_ports *ports, const tutti_transport *transport, const tutti_environment *env)
{
	struct tt_port *port = &ports->port[ports->nports];

	if (ports->nports == TT_PORTS_TRANSPORTS)
		return tt_fail(
		    TUTTI_ERR_INTERNAL, -1, "more than %d transports in one communicator", TT_PORTS_TRANSPORTS);
	TT_TRY(tt_transport_failed(transport, transport->open(env, &port->endpoint)));
	port->transport = transport;
	port->properties = (tutti_properties){.size = sizeof(port->properties)};
	transport->properties(port->endpoint, &port->properties);
	ports->nports++;
	if ((port->properties.capabilities & TUTTI_CAN_FOLD) == 0)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "transport %s cannot fold arriving data", transport->name);
	return TUTTI_OK;
}

tutti_status
tt_ports_address(struct tt_ports *ports, int port, void *address, size_t *bytes)
{
	const tutti_transport *transport = ports->port[port].transport;

	return tt_transport_failed(transport, transport->address(ports->port[port].endpoint, address, bytes));
}

tutti_status
tt_ports_connect(struct tt_ports *ports, int port, int peer, const void *address, size_t bytes)
{
	tutti_link *link;

	TT_TRY(tt_transport_failed(ports->port[port].transport,
	    ports->port[port].transport->connect(ports->port[port].endpoint, peer, address, bytes, &link)));
	ports->peers[peer].link = link;
	ports->peers[peer].port = (uint8_t)port;
	return TUTTI_OK;
}

void
tt_ports_fini(struct tt_ports *ports)
{
	for (int i = 0; i < ports->nports; i++)
		ports->port[i].transport->close(ports->port[i].endpoint);
	ports->nports = 0;
	tt_free(ports->peers);
	ports->peers = NULL;
	tt_fd_close(ports->bell);
	ports->bell = -1;
}

tutti_status
tt_ports_error(const struct tt_ports *ports, int peer, char *message, size_t bytes)
{
	const struct tt_peer *p = &ports->peers[peer];

	return ports->port[p->port].transport->error(p->link, message, bytes);
}

int
tt_ports_culprit(const struct tt_ports *ports, int peer, bool (*has_left)(void *context, int rank), void *context,
    char *message, size_t bytes, tutti_status *status)
{
	*status = tt_ports_error(ports, peer, message, bytes);
	if (*status != TUTTI_ERR_ABORTED)
		return peer;
	for (int r = 0; r < ports->nranks; r++) {
		char why[256];
		tutti_status found;

		if (r == peer || ports->peers[r].link == NULL || ports->peers[r].port != ports->peers[peer].port ||
		    has_left(context, r))
			continue;
		found = tt_ports_error(ports, r, why, sizeof(why));
		if (found == TUTTI_OK || found == TUTTI_ERR_ABORTED)
			continue;
		*status = found;
		snprintf(message, bytes, "%s", why);
		return r;
	}
	return -1;
}

void
tt_ports_cancel(struct tt_ports *ports)
{
	if (ports->cancelled)
		return;
	ports->cancelled = true;
	for (int i = 0; i < ports->nports; i++)
		ports->port[i].transport->cancel(ports->port[i].endpoint);
}

void
tt_ports_sleep(struct tt_ports *ports, int most_ms)
{
	struct pollfd fds[TT_PORTS_TRANSPORTS + 1];
	uint64_t rung;
	int n = 0, armed = 0;
	bool sleep = true;

	for (; armed < ports->nports && sleep; armed++) {
		const struct tt_port *port = &ports->port[armed];

		if ((port->properties.capabilities & TUTTI_CAN_WAIT) == 0) {
			/* Nothing can wake us for this one: look at it often. */
			most_ms = most_ms > 1 ? 1 : most_ms;
			continue;
		}
		sleep = port->transport->arm(port->endpoint) == TUTTI_OK;
		fds[n++] = (struct pollfd){.fd = port->transport->wait_fd(port->endpoint), .events = POLLIN};
	}
	if (sleep) {
		fds[n++] = (struct pollfd){.fd = ports->bell, .events = POLLIN};
		if (poll(fds, (nfds_t)n, most_ms) > 0 && (fds[n - 1].revents & POLLIN) != 0)
			(void)!read(ports->bell, &rung, sizeof(rung));
	}
	while (armed-- > 0) {
		const struct tt_port *port = &ports->port[armed];

		if ((port->properties.capabilities & TUTTI_CAN_WAIT) != 0)
			port->transport->disarm(port->endpoint);
	}
}

void
tt_ports_ring(const struct tt_ports *ports)
{
	const uint64_t one = 1;

	if (ports->bell >= 0)
		(void)!write(ports->bell, &one, sizeof(one));
}
