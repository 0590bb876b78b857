/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tcp_reach.c - the order in which a peer's addresses are tried.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tcp/reach.h"

static struct tt_place
place(const char *text, int prefix, uint8_t nic)
{
	struct tt_place made = {.nic = nic, .prefix = (uint8_t)prefix};
	const bool v6 = strchr(text, ':') != NULL;

	made.address.family = v6 ? 6 : 4;
	made.address.port = 4711;
	cr_assert(eq(int, inet_pton(v6 ? AF_INET6 : AF_INET, text, made.address.ip), 1));
	return made;
}

#define CHECK_ORDER(places, ...) \
	do { \
		const uint8_t order[] = {__VA_ARGS__}; \
		for (size_t k = 0; k < sizeof(order); k++) \
			cr_expect(eq(u8, (places)[k].nic, order[k]), "place %zu", k); \
	} while (0)

Test(tcp_reach, what_is_in_a_network_of_mine_comes_first)
{
	const struct tt_place mine[] = {place("10.1.0.7", 16, 0), place("192.168.5.1", 23, 1)};
	struct tt_place theirs[] = {place("172.16.0.1", 16, 0), place("192.168.4.9", 24, 1), place("10.2.0.8", 16, 2),
	    place("10.1.9.8", 16, 3), place("192.168.6.9", 24, 4)};

	tt_places_sort(theirs, 5, mine, 2);
	CHECK_ORDER(theirs, 1, 3, 0, 2, 4);
}

Test(tcp_reach, an_address_that_both_have_comes_last)
{
	const struct tt_place mine[] = {place("172.17.0.1", 16, 0), place("10.0.0.1", 24, 1)};
	struct tt_place theirs[] = {place("172.17.0.1", 16, 0), place("10.9.0.2", 24, 1), place("10.0.0.2", 24, 2)};

	tt_places_sort(theirs, 3, mine, 2);
	CHECK_ORDER(theirs, 2, 1, 0);
}

Test(tcp_reach, on_one_host_nothing_changes)
{
	const struct tt_place mine[] = {place("172.17.0.1", 16, 0), place("10.0.0.1", 24, 1)};
	struct tt_place theirs[] = {place("172.17.0.1", 16, 0), place("10.0.0.1", 24, 1)};

	tt_places_sort(theirs, 2, mine, 2);
	CHECK_ORDER(theirs, 0, 1);
}

Test(tcp_reach, networks_of_ipv6_are_told_apart)
{
	const struct tt_place mine[] = {place("fd00:213:1::1", 64, 0)};
	struct tt_place theirs[] = {
	    place("10.0.0.1", 24, 0), place("fd00:213:0::2", 64, 1), place("fd00:213:1::2", 64, 2)};

	tt_places_sort(theirs, 3, mine, 1);
	CHECK_ORDER(theirs, 2, 0, 1);
}

Test(tcp_reach, near_is_what_shares_a_network_with_an_interface_of_mine)
{
	const struct tt_place mine[] = {place("10.1.0.7", 16, 0), place("fd00:213:1::1", 64, 1)};
	const struct tt_place near[] = {place("10.1.255.1", 0, 0), place("fd00:213:1::9", 0, 0)};
	const struct tt_place far[] = {place("10.2.0.1", 0, 0), place("fd00:213:2::9", 0, 0)};

	for (int i = 0; i < 2; i++) {
		cr_assert(tt_place_is_near(&near[i].address, mine, 2));
		cr_assert(not(tt_place_is_near(&far[i].address, mine, 2)));
	}
	cr_assert(not(tt_place_is_near(&near[0].address, mine, 0)));
}
