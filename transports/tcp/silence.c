/* SPDX-License-Identifier: Apache-2.0
 *
 * silence.c - see silence.h.
 *
 * Why not TCP_USER_TIMEOUT: it also ends a connection whose window stays closed although the other kernel answers, that
 * is, whose reader computes for a while. Keepalive does not help either while data is on its way: then the kernel
 * repeats the data in its place, for a quarter of an hour.
 */
#include "tcp/silence.h"

#include <linux/tcp.h>

#include "base/clock.h"
#include "tcp/link.h"

#include <sys/socket.h>

#define LOOKS 8 /* within the time limit */
#define REPEATED 3 /* data: the first repetitions come within a second or so */
#define PROBED 2 /* a closed window, without an answer; the kernel counts from the last answer */

/* Anything that came since the last look, data or only an acknowledgement. The kernel's times are in milliseconds. */
static bool
answered(const struct tt_silence *silence, const struct tcp_info *info, int64_t now_ns)
{
	const int64_t ago_ms = info->tcpi_last_ack_recv < info->tcpi_last_data_recv ? info->tcpi_last_ack_recv
										    : info->tcpi_last_data_recv;

	return ago_ms <= (now_ns - silence->looked_ns) / TT_MS + 1;
}

bool
tt_silence_look(struct tt_silence *silence, const struct tcp_info *info, int64_t now_ns, int64_t limit_ns)
{
	const bool repeats = info->tcpi_retransmits > 0 || info->tcpi_probes > 0;
	const bool heard = silence->looked_ns == 0 || answered(silence, info, now_ns);

	silence->looked_ns = now_ns;
	if (!repeats || heard)
		silence->since_ns = repeats ? now_ns : 0;
	else if (silence->since_ns == 0)
		silence->since_ns = now_ns;
	return repeats && now_ns - silence->since_ns >= limit_ns &&
	       (info->tcpi_retransmits >= REPEATED || info->tcpi_probes >= PROBED);
}

static void
look_at(tutti_link *link, int64_t now_ns, int64_t limit_ns)
{
	for (int i = 0; i < TT_CHANNELS && link->live_index >= 0; i++) {
		struct tt_flow *flow = &link->flows[i];
		struct tcp_info info = {0};
		socklen_t bytes = sizeof(info);

		if (flow->watch.fd >= 0 && getsockopt(flow->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == 0 &&
		    tt_silence_look(&flow->silence, &info, now_ns, limit_ns))
			tt_tcp_flow_cut(flow);
	}
}

void
tt_tcp_look_for_cuts(tutti_endpoint *endpoint)
{
	const int64_t limit_ns = endpoint->peer_timeout_ms * TT_MS;
	const int64_t now_ns = limit_ns > 0 && endpoint->nlive > 0 ? tt_now_ns() : 0;

	if (now_ns < endpoint->look_for_cuts_ns || now_ns == 0)
		return;
	endpoint->look_for_cuts_ns = now_ns + limit_ns / LOOKS;
	/* From the last to the first: a link that dies gives its place to one that was looked at. */
	for (int i = endpoint->nlive - 1; i >= 0; i--)
		look_at(endpoint->live[i], now_ns, limit_ns);
}
