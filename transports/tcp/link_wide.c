/* SPDX-License-Identifier: Apache-2.0
 *
 * link_wide.c - more than one connection to a peer.
 *
 * The lower rank calls, when the first large message is about, and without haste: until a connection is there, and if
 * it never is, the chunks go by the others. Several interfaces of the peer are called in turn, so that they share
 * the load; one that cannot be reached is passed over.
 *
 * Who is quicker gets more: not only more chunks, by taking the next one when it has room, but also larger ones, in
 * proportion to what the kernel measured. So chunks that are begun together arrive together: nobody waits for the
 * last one on the slowest connection. For the same reason little is allowed to pile up unsent in a socket, and a
 * connection takes no chunk while what it has not yet got through would take far longer than on the others.
 */
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "tcp/link.h"

#define ATTEMPT_NS (2 * TT_HANDSHAKE_MS * TT_MS)
#define MEASURE_EVERY 4 /* chunks */
#define CHUNK_LEAST ((size_t)16 << 10)
#define CHUNK_GRAIN ((size_t)4 << 10)
#define LATER_BY 1.5 /* times the quickest that has room: then a connection is passed over .. */
#define FAR_LATER_BY 3.5 /* .. as also if all others are full, but will be through so much earlier */
#define SLOWER_BY 2 /* steps of speed by which an interface may be behind the quickest, and still be used */

/* The i-th of the peer's interfaces that are worth using: the first address of each. -1: there are not so many. */
static int
stripe(const tutti_link *link, int i)
{
	uint8_t best = 0;

	for (int at = 0; at < link->nplaces; at++)
		if (!link->places[at].doubtful && link->places[at].speed > best)
			best = link->places[at].speed;
	for (int at = 0; at < link->nplaces; at++) {
		const struct tt_place *place = &link->places[at];
		bool seen = false;

		for (int before = 0; before < at; before++)
			seen |= link->places[before].nic == place->nic;
		if (seen || place->doubtful || place->speed + SLOWER_BY < best)
			continue;
		if (i-- == 0)
			return at;
	}
	return -1;
}

/* The first attempts share the interfaces out, later ones take whatever there is. */
static const struct tt_address *
address_for(const tutti_link *link, int channel, int attempt)
{
	int stripes = 0;

	if (attempt > 0)
		return &link->places[attempt - 1].address;
	while (stripe(link, stripes) >= 0)
		stripes++;
	return &link->places[stripe(link, (channel - 1) % stripes)].address;
}

/* False: all addresses have been tried. */
static bool
call(tutti_link *link, struct tt_flow *flow)
{
	while (flow->attempts <= link->nplaces) {
		int fd = -1;

		flow->remote = *address_for(link, flow->index, flow->attempts++);
		if (tt_connect_tcp(&flow->remote, &fd) == TUTTI_OK &&
		    tt_candidate_create(link->endpoint, fd, link, flow->index, link->nonce, &flow->remote,
			tt_now_ns() + ATTEMPT_NS) == TUTTI_OK)
			return true;
	}
	return false;
}

void
tt_tcp_link_widen(tutti_link *link)
{
	if (link->widened || link->live_index < 0 || !link->known || link->nplaces == 0 ||
	    link->endpoint->rank > link->peer)
		return;
	link->widened = true;
	for (uint32_t i = 1; i <= link->width; i++)
		call(link, &link->flows[i]);
}

void
tt_tcp_link_narrow(tutti_link *link, int channel)
{
	if (link->live_index >= 0)
		call(link, &link->flows[channel]);
}

static void
set_lowat(struct tt_flow *flow, size_t chunk_bytes)
{
	const int lowat = (int)chunk_bytes;

	if (flow->lowat > 0 && lowat > flow->lowat / 4 * 3 && lowat < flow->lowat / 4 * 5)
		return;
	if (setsockopt(flow->watch.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat)) == 0)
		flow->lowat = lowat;
}

static void
share_out(tutti_link *link)
{
	double best = 0;

	for (int i = 1; i < link->stream.nchannels; i++)
		if (link->flows[i].watch.fd >= 0 && link->flows[i].bytes_per_s > best)
			best = link->flows[i].bytes_per_s;
	for (int i = 1; i < link->stream.nchannels && best > 0; i++) {
		struct tt_flow *flow = &link->flows[i];
		const size_t share = (size_t)((double)TT_CHUNK_BYTES * (flow->bytes_per_s / best));

		if (flow->watch.fd < 0 || !(flow->bytes_per_s > 0))
			continue;
		link->stream.channels[i]->chunk_bytes = tt_max_size(share & ~(CHUNK_GRAIN - 1), CHUNK_LEAST);
		set_lowat(flow, link->stream.channels[i]->chunk_bytes);
	}
}

/* Seconds until the connection would be through with one more chunk. */
static double
time_for(const struct tt_flow *flow)
{
	int queued = 0;

	if (ioctl(flow->watch.fd, SIOCOUTQ, &queued) != 0)
		queued = 0;
	return ((double)queued + (double)flow->link->stream.channels[flow->index]->chunk_bytes) / flow->bytes_per_s;
}

void
tt_tcp_link_defer(tutti_link *link)
{
	double times[TT_CHANNELS] = {0}, best = 0, best_free = 0;

	for (int i = 1; i < link->stream.nchannels; i++) {
		const struct tt_flow *flow = &link->flows[i];

		if (flow->watch.fd < 0 || !(flow->bytes_per_s > 0))
			continue;
		times[i] = time_for(flow);
		if (best <= 0 || times[i] < best)
			best = times[i];
		if (!flow->blocked && (best_free <= 0 || times[i] < best_free))
			best_free = times[i];
	}
	for (int i = 1; i < link->stream.nchannels; i++)
		link->flows[i].deferred = times[i] > LATER_BY * best_free || times[i] > FAR_LATER_BY * best;
}

void
tt_tcp_flow_measure(struct tt_flow *flow)
{
	struct tcp_info info = {0};
	socklen_t bytes = sizeof(info);

	if (flow->batches++ % MEASURE_EVERY != 0 && flow->bytes_per_s > 0)
		return;
	if (getsockopt(flow->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0 || info.tcpi_delivery_rate == 0)
		return;
	if (flow->bytes_per_s > 0)
		flow->bytes_per_s = (3 * flow->bytes_per_s + (double)info.tcpi_delivery_rate) / 4;
	else
		flow->bytes_per_s = (double)info.tcpi_delivery_rate;
	share_out(flow->link);
}
