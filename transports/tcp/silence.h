/* SPDX-License-Identifier: Apache-2.0
 *
 * silence.h - is a connection cut, or is the other side only busy?
 *
 * The kernel of a host that is there answers, whatever its processes do: it acknowledges what came, and says again and
 * again that a window is closed. A connection is cut when this kernel repeats itself and hears nothing for the
 * whole of the time limit. A judge without I/O: what the kernel says and the time come in.
 */
#ifndef TT_TCP_SILENCE_H
#define TT_TCP_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_info;

/* What is remembered of a connection from one look to the next; all zero at first. */
struct tt_silence {
	int64_t looked_ns; /* the last look; 0: none yet */
	int64_t
	    since_ns; /* the first look at which the kernel repeated itself, since the last answer; 0: it does not */
};

/* True: nothing has been heard for limit_ns of what the kernel has sent several times. */
bool tt_silence_look(struct tt_silence *silence, const struct tcp_info *info, int64_t now_ns, int64_t limit_ns);

#endif /* TT_TCP_SILENCE_H */
