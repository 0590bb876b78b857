/* SPDX-License-Identifier: Apache-2.0
 *
 * tune.h - what the files of `tutti tune` share.
 */
#ifndef TT_CLI_TUNE_H
#define TT_CLI_TUNE_H

#include <tutti/tutti.h>

#include "select/constants.h"

/* Which constants a kind of message has. */
struct tt_tune_link {
	enum tt_constant message, post, byte, one_way, look; /* look: TT_CONSTANTS = there is none */
};

/* Measures messages between the two ranks of comm; both call it. Constants are set on rank 0 alone. Each step of it
 * calls `step`. */
tutti_status tt_tune_link(
    tutti_comm *comm, const struct tt_tune_link *link, struct tt_constants *constants, void (*step)(void));
/* The same for what two ranks do together in shared memory, and for reading each other's. */
tutti_status tt_tune_node(tutti_comm *comm, struct tt_constants *constants, void (*step)(void));

/* And for what it takes when they share a core: they do meanwhile, if they can be bound to one. */
tutti_status tt_tune_turn(tutti_comm *comm, struct tt_constants *constants, void (*step)(void));

/* What one meeting is enough for, by trial on ranks 0 and `partner`, which share memory. Every rank of `all` calls it. */
tutti_status tt_tune_sizes(tutti_comm *all, int partner, struct tt_constants *constants, void (*step)(void));

#define TT_TUNE_LINK_STEPS 3
#define TT_TUNE_SIZES_STEPS 1
#define TT_TUNE_NODE_STEPS 3
#define TT_TUNE_TURN_STEPS 1

#endif /* TT_CLI_TUNE_H */
