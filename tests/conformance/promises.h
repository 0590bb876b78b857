/* SPDX-License-Identifier: Apache-2.0
 *
 * promises.h - the list of promises; each is one function in one of the promises_*.c.
 */
#ifndef TT_CONFORMANCE_PROMISES_H
#define TT_CONFORMANCE_PROMISES_H

#include "kit.h"

/* promises_data.c: what arrives is what was sent. */
void promise_says_sane_things_about_itself(struct kit *kit);
void promise_keeps_the_order_of_a_lane(struct kit *kit);
void promise_carries_every_size(struct kit *kit);
void promise_gathers_and_scatters_any_parts(struct kit *kit);
void promise_folds_in_order_with_every_grain(struct kit *kit);
void promise_reaches_itself(struct kit *kit);
void promise_serves_all_pairs_at_once(struct kit *kit);

/* promises_flow.c: who waits for whom. */
void promise_an_unposted_message_delays_no_other_lane(struct kit *kit);
void promise_messages_wait_for_late_receives(struct kit *kit);
void promise_receives_wait_for_late_messages(struct kit *kit);
void promise_takes_many_transfers_at_once(struct kit *kit);
void promise_a_flood_is_refused_or_kept_but_never_lost(struct kit *kit);
void promise_both_directions_at_once(struct kit *kit);
void promise_a_passive_receive_connects_to_nobody(struct kit *kit);

/* promises_end.c: errors and ends. */
void promise_reports_another_length(struct kit *kit);
void promise_reports_another_mark(struct kit *kit);
void promise_reports_a_mismatch_of_a_long_message_to_both(struct kit *kit);
void promise_cancel_ends_everything(struct kit *kit);
void promise_cancel_is_seen_by_the_peers(struct kit *kit);
void promise_close_lets_completed_sends_arrive(struct kit *kit);
void promise_close_is_seen_by_the_peers(struct kit *kit);
void promise_death_is_seen_by_the_peers(struct kit *kit);
void promise_refuses_a_peer_out_of_reach(struct kit *kit);

/* promises_sleep.c: wait_fd, arm and disarm. */
void promise_no_wake_up_is_lost(struct kit *kit);
void promise_no_wake_up_is_lost_with_long_messages(struct kit *kit);
void promise_sleeps_when_nothing_happens(struct kit *kit);
void promise_does_not_sleep_over_news(struct kit *kit);

extern const struct kit_promise kit_promises[];
extern const size_t kit_npromises;

#endif /* TT_CONFORMANCE_PROMISES_H */
