/* SPDX-License-Identifier: Apache-2.0
 *
 * promises.c - the table.
 */
#include "promises.h"

#define PROMISE(promised) .name = #promised, .body = promise_##promised

const struct kit_promise kit_promises[] = {
    {PROMISE(says_sane_things_about_itself)},
    {PROMISE(keeps_the_order_of_a_lane), .least_ranks = 2},
    {PROMISE(carries_every_size), .least_ranks = 2},
    {PROMISE(gathers_and_scatters_any_parts), .least_ranks = 2},
    {PROMISE(folds_in_order_with_every_grain), .needs = TUTTI_CAN_FOLD, .least_ranks = 2},
    {PROMISE(reaches_itself)},
    {PROMISE(serves_all_pairs_at_once)},
    {PROMISE(an_unposted_message_delays_no_other_lane), .least_ranks = 2},
    {PROMISE(messages_wait_for_late_receives), .least_ranks = 2},
    {PROMISE(receives_wait_for_late_messages), .least_ranks = 2},
    {PROMISE(takes_many_transfers_at_once), .least_ranks = 2},
    {PROMISE(a_flood_is_refused_or_kept_but_never_lost), .least_ranks = 2},
    {PROMISE(both_directions_at_once), .least_ranks = 2},
    {PROMISE(a_passive_receive_connects_to_nobody), .least_ranks = 2},
    {PROMISE(reports_another_length), .least_ranks = 2},
    {PROMISE(reports_another_mark), .least_ranks = 2},
    {PROMISE(reports_a_mismatch_of_a_long_message_to_both), .least_ranks = 2},
    {PROMISE(cancel_ends_everything), .least_ranks = 2},
    {PROMISE(cancel_is_seen_by_the_peers), .least_ranks = 2},
    {PROMISE(close_lets_completed_sends_arrive), .least_ranks = 2},
    {PROMISE(close_is_seen_by_the_peers), .least_ranks = 2},
    {PROMISE(death_is_seen_by_the_peers), .least_ranks = 2, .kills = true, .excludes = TUTTI_IS_LOCAL},
    {PROMISE(refuses_a_peer_out_of_reach), .needs = TUTTI_IS_LOCAL},
    {PROMISE(no_wake_up_is_lost), .needs = TUTTI_CAN_WAIT, .least_ranks = 2},
    {PROMISE(no_wake_up_is_lost_with_long_messages), .needs = TUTTI_CAN_WAIT, .least_ranks = 2},
    {PROMISE(sleeps_when_nothing_happens), .needs = TUTTI_CAN_WAIT},
    {PROMISE(does_not_sleep_over_news), .needs = TUTTI_CAN_WAIT, .least_ranks = 2},
};
const size_t kit_npromises = TT_COUNT_OF(kit_promises);
