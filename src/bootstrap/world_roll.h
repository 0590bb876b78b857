/* SPDX-License-Identifier: Apache-2.0
 *
 * world_roll.h - the second half of the creation protocol (world_roll.c, world_verdict.c), for world_join.c only: what happens between a rank and
 * its children and parent once it has them.
 */
#ifndef TT_BOOTSTRAP_WORLD_ROLL_H
#define TT_BOOTSTRAP_WORLD_ROLL_H

#include "bootstrap/world_join.h"

/* This rank has joined: takes in everyone who waits below it. */
void tt_roll_begin(struct tt_join *join);
void tt_roll_card(struct tt_join *join, struct tt_join_peer *peer, const void *bytes, size_t n);
void tt_roll_settle(struct tt_join *join, struct tt_join_peer *peer, bool shares);
void tt_roll_table(struct tt_join *join, const void *bytes, size_t n);
void tt_roll_words(struct tt_join *join, const void *bytes, size_t n);
void tt_roll_ready(struct tt_join *join, struct tt_join_peer *peer);
void tt_roll_go(struct tt_join *join);
/* A failure that `from` told, or (NULL) that is in the calling thread's record. */
void tt_roll_fail(struct tt_join *join, struct tt_join_peer *from, const tutti_error *error);
/* After a failure of rank 0's: the card of one more process, which hears of it here or from its leader. */
void tt_roll_refuse(struct tt_join *join, struct tt_join_peer *peer, const void *bytes, size_t n);
void tt_roll_time_out(struct tt_join *join);
void tt_roll_lost(struct tt_join *join, struct tt_join_peer *child);
/* Takes a child out of the books. */
void tt_roll_forget(struct tt_join *join, struct tt_join_peer *child);

#endif /* TT_BOOTSTRAP_WORLD_ROLL_H */
