/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tcp_silence.c - which connections are taken for cut, from what a kernel would say of them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <linux/tcp.h>

#include "base/clock.h"
#include "tcp/silence.h"

#define LIMIT_NS (10000 * TT_MS)

/* Looks every second from `from` to `to` (seconds); true if one of them says cut. answered_s: when something came last. */
static bool
watch(struct tt_silence *silence, struct tcp_info info, int from, int to, int answered_s)
{
	for (int s = from; s <= to; s++) {
		info.tcpi_last_ack_recv = (uint32_t)((s - answered_s) * 1000);
		info.tcpi_last_data_recv = 3600 * 1000;
		if (tt_silence_look(silence, &info, (s + 1000) * 1000 * TT_MS, LIMIT_NS))
			return true;
	}
	return false;
}

Test(tcp_silence, data_that_is_repeated_for_the_whole_limit_is_a_cut)
{
	struct tt_silence silence = {0};

	cr_expect(not(watch(&silence, (struct tcp_info){.tcpi_retransmits = 4, .tcpi_unacked = 9}, 0, 9, -1)));
	cr_expect(watch(&silence, (struct tcp_info){.tcpi_retransmits = 5, .tcpi_unacked = 9}, 10, 13, -1));
}

Test(tcp_silence, so_is_a_closed_window_whose_probes_nobody_answers)
{
	struct tt_silence silence = {0};

	cr_expect(watch(&silence, (struct tcp_info){.tcpi_probes = 2}, 0, 12, -1));
}

Test(tcp_silence, a_closed_window_that_is_confirmed_is_not)
{
	struct tt_silence silence = {0};

	/* The kernel asks every 8 s, and every answer puts its counter back. */
	for (int s = 0; s < 80; s += 8) {
		cr_expect(not(watch(&silence, (struct tcp_info){.tcpi_probes = 1}, s, s, s - 8)));
		cr_expect(not(watch(&silence, (struct tcp_info){.tcpi_probes = 0}, s + 1, s + 7, s)));
	}
}

Test(tcp_silence, an_answer_begins_it_anew)
{
	struct tt_silence silence = {0};
	const struct tcp_info repeating = {.tcpi_retransmits = 6, .tcpi_unacked = 1};

	cr_expect(not(watch(&silence, repeating, 0, 9, -1)));
	cr_expect(not(watch(&silence, repeating, 10, 18, 9)));
	cr_expect(watch(&silence, repeating, 19, 21, 9));
}

Test(tcp_silence, who_did_not_look_for_long_does_not_count_that_time)
{
	struct tt_silence silence = {0};

	/* Something came while nobody looked, then the connection was idle, and new data was lost once or twice. */
	cr_expect(not(watch(&silence, (struct tcp_info){.tcpi_retransmits = 3}, 0, 0, -1)));
	cr_expect(not(watch(&silence, (struct tcp_info){.tcpi_retransmits = 3}, 100, 108, 1)));
}

Test(tcp_silence, one_that_has_nothing_to_say_is_not_cut)
{
	struct tt_silence silence = {0};

	cr_expect(not(watch(&silence, (struct tcp_info){.tcpi_unacked = 0}, 0, 100, -1)));
}
