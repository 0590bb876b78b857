/* SPDX-License-Identifier: Apache-2.0
 *
 * test_rendezvous.c - unique ids and the listeners behind them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <dirent.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "bootstrap/rendezvous.h"

TestSuite(rendezvous, .timeout = 20);

static void
open_one(struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	struct tt_settings settings;

	cr_assert(tt_settings_init(&settings, NULL) == TUTTI_OK);
	cr_assert(tt_meeting_open(&settings, rendezvous, meeting) == TUTTI_OK);
	tt_settings_fini(&settings);
}

static int
count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(folder) != NULL)
		n++;
	closedir(folder);
	return n;
}

Test(rendezvous, an_id_is_read_as_it_was_written)
{
	struct tt_rendezvous made, read;
	struct tt_meeting meeting;
	tutti_unique_id id;

	open_one(&made, &meeting);
	made.ports = 3;
	made.port_step = 17;
	tt_unique_id_write(&made, &id);
	cr_assert(tt_unique_id_read(&id, &read) == TUTTI_OK);
	cr_assert(eq(int, memcmp(made.key, read.key, sizeof(made.key)), 0));
	cr_assert(eq(int, memcmp(made.epoch, read.epoch, sizeof(made.epoch)), 0));
	cr_assert(eq(int, memcmp(made.addresses, read.addresses, sizeof(made.addresses)), 0));
	cr_assert(eq(int, made.naddresses, read.naddresses));
	cr_assert(eq(int, made.authenticated, read.authenticated));
	cr_assert(eq(int, read.ports, 3));
	cr_assert(eq(int, read.port_step, 17));
	tt_meeting_close(&meeting);
}

Test(rendezvous, every_changed_byte_of_an_id_is_noticed)
{
	struct tt_rendezvous made, read;
	struct tt_meeting meeting;
	tutti_unique_id id;

	open_one(&made, &meeting);
	tt_unique_id_write(&made, &id);
	for (size_t i = 0; i < sizeof(id); i++) {
		tutti_unique_id damaged = id;
		tutti_status status;

		damaged.bytes[i] ^= 0x10;
		status = tt_unique_id_read(&damaged, &read);
		cr_assert(
		    status == TUTTI_ERR_ARGUMENT || (i >= 8 && i < 12 && status == TUTTI_ERR_VERSION), "byte %zu", i);
	}
	memset(&id, 0, sizeof(id));
	cr_assert(eq(int, tt_unique_id_read(&id, &read), TUTTI_ERR_ARGUMENT));
	tt_meeting_close(&meeting);
}

Test(rendezvous, two_ids_have_nothing_in_common)
{
	struct tt_rendezvous a, b;
	struct tt_meeting x, y;
	unsigned char name[3][TT_NAME_BYTES];

	open_one(&a, &x);
	open_one(&b, &y);
	cr_assert(ne(int, memcmp(a.key, b.key, sizeof(a.key)), 0));
	cr_assert(ne(int, memcmp(a.epoch, b.epoch, sizeof(a.epoch)), 0));
	tt_rendezvous_name(&a, "root", 0, name[0]);
	tt_rendezvous_name(&a, "node", 0, name[1]);
	tt_rendezvous_name(&b, "root", 0, name[2]);
	cr_assert(ne(int, memcmp(name[0], name[1], TT_NAME_BYTES), 0));
	cr_assert(ne(int, memcmp(name[0], name[2], TT_NAME_BYTES), 0));
	tt_meeting_close(&x);
	tt_meeting_close(&y);
}

Test(rendezvous, ports_follow_each_other_within_the_unprivileged_range)
{
	struct tt_rendezvous rendezvous = {.naddresses = 2, .ports = 40, .port_step = 9973};
	struct tt_address address;

	rendezvous.addresses[0] = (struct tt_address){.family = 4, .port = 60000};
	rendezvous.addresses[1] = (struct tt_address){.family = 6, .port = 29500};
	cr_assert(eq(int, tt_rendezvous_count(&rendezvous), 80));
	tt_rendezvous_address(&rendezvous, 1, &address);
	cr_assert(eq(int, address.port, 29500));
	tt_rendezvous_address(&rendezvous, 3, &address);
	cr_assert(eq(int, address.port, 29500 + 9973));
	cr_assert(eq(int, address.family, 6));
	for (int i = 0; i < 80; i++) {
		tt_rendezvous_address(&rendezvous, i, &address);
		cr_assert(ge(int, address.port, 1024));
	}
}

Test(rendezvous, a_second_rank_0_of_one_host_is_an_error)
{
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting, second;

	open_one(&rendezvous, &meeting);
	cr_assert(eq(int, tt_meeting_open_at(&rendezvous, &second), TUTTI_ERR_MISMATCH));
	tt_meeting_close(&meeting);
	cr_assert(eq(int, tt_meeting_open_at(&rendezvous, &second), TUTTI_OK));
	tt_meeting_close(&second);
}

Test(rendezvous, a_kept_meeting_is_claimed_once)
{
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting, claimed;
	const int before = count_fds();

	open_one(&rendezvous, &meeting);
	cr_assert(eq(int, tt_meeting_keep(&rendezvous, &meeting, TT_FOREVER), TUTTI_OK));
	/* Another rank in the same process takes nothing away. */
	cr_assert(eq(int, tt_meeting_claim(&rendezvous, false, &claimed), TUTTI_OK));
	cr_assert(eq(int, tt_meeting_claim(&rendezvous, true, &claimed), TUTTI_OK));
	cr_assert(eq(int, claimed.ntcp, meeting.ntcp));
	cr_assert(eq(int, tt_meeting_claim(&rendezvous, true, &meeting), TUTTI_ERR_ARGUMENT));
	tt_meeting_close(&claimed);
	cr_assert(eq(int, count_fds(), before));
}

Test(rendezvous, a_kept_meeting_is_closed_at_its_deadline)
{
	struct tt_rendezvous rendezvous;
	struct tt_meeting meeting;
	const int before = count_fds();

	open_one(&rendezvous, &meeting);
	cr_assert(eq(int, tt_meeting_keep(&rendezvous, &meeting, tt_now_ns() - 1), TUTTI_OK));
	cr_assert(eq(int, tt_meeting_claim(&rendezvous, true, &meeting), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, count_fds(), before));
}

Test(rendezvous, a_forked_child_claims_or_drops_its_copy)
{
	for (int claims = 0; claims < 2; claims++) {
		struct tt_rendezvous rendezvous;
		struct tt_meeting meeting;
		int result = -1;
		pid_t child;

		open_one(&rendezvous, &meeting);
		cr_assert(eq(int, tt_meeting_keep(&rendezvous, &meeting, TT_FOREVER), TUTTI_OK));
		child = fork();
		if (child == 0) {
			const int before = count_fds();
			const bool good = tt_meeting_claim(&rendezvous, claims != 0, &meeting) == TUTTI_OK;
			/* A drop closes it now, a claim keeps it and it can be closed. */
			const bool closed = claims != 0 || count_fds() < before;

			if (claims != 0 && good)
				tt_meeting_close(&meeting);
			_exit(good && closed && count_fds() < before ? 0 : 1);
		}
		cr_assert(eq(int, waitpid(child, &result, 0), child));
		cr_assert(eq(int, result, 0));
		cr_assert(eq(int, tt_meeting_claim(&rendezvous, true, &meeting), TUTTI_OK));
		tt_meeting_close(&meeting);
	}
}
