/* SPDX-License-Identifier: Apache-2.0
 *
 * test_meet.c - ranks that were told the same work out the same rendezvous, and only they; the caller's store.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "bootstrap/identity.h"

static struct tt_settings settings;
static struct tt_meeting meeting;

static void
clear_environment(void)
{
	for (int i = 0; i < TT_SETTINGS; i++)
		unsetenv(tt_setting_info((enum tt_setting)i)->variable);
	tt_settings_init(&settings, NULL);
	tt_settings_fini(&settings);
	settings.log_fd = -1;
	memset(&meeting, 0, sizeof(meeting));
	meeting.local = -1;
}

static void
close_all(void)
{
	tt_meeting_close(&meeting);
	tt_settings_fini(&settings);
}

TestSuite(meet, .init = clear_environment, .fini = close_all);

static int64_t
soon(void)
{
	return tt_deadline_ns(10000);
}

/* A job of two on several hosts, as torchrun describes it. */
static struct tt_identity
torchrun(int rank)
{
	struct tt_identity id = {.launcher = TT_LAUNCHER_TORCHRUN,
	    .rank = rank,
	    .size = 2,
	    .local_rank = 0,
	    .local_size = 1,
	    .job = "torchrun/0/test_meet",
	    .root_host = "127.0.0.1",
	    .root_port = 29500,
	    .secret_fd = -1,
	    .pmi_fd = -1};

	snprintf(id.job, sizeof(id.job), "torchrun/0/%d", (int)getpid());
	return id;
}

static tutti_status
meet(const struct tt_identity *id, unsigned call, struct tt_rendezvous *rendezvous)
{
	struct tt_meeting none;

	return tt_identity_meet(id, &settings, NULL, call, soon(), rendezvous, id->rank == 0 ? &meeting : &none);
}

static bool
same_place(const struct tt_rendezvous *a, const struct tt_rendezvous *b)
{
	return memcmp(a->key, b->key, sizeof(a->key)) == 0 && memcmp(a->epoch, b->epoch, sizeof(a->epoch)) == 0;
}

static bool
message_has(const char *text)
{
	return strstr(tt_last_error()->message, text) != NULL;
}

/* The port of one candidate that somebody listens on; 0 if nobody does. */
static int
reach(const struct tt_rendezvous *rendezvous)
{
	for (int i = 0; i < tt_rendezvous_count(rendezvous); i++) {
		struct pollfd p = {.events = POLLOUT};
		struct tt_address address;
		bool reached;

		tt_rendezvous_address(rendezvous, i, &address);
		if (tt_connect_tcp(&address, &p.fd) != TUTTI_OK)
			continue;
		poll(&p, 1, 5000);
		reached = tt_connect_result(p.fd) == TUTTI_OK;
		tt_fd_close(p.fd);
		if (reached)
			return address.port;
	}
	return 0;
}

static int
make_memfd(const char *text)
{
	const int fd = memfd_create("secret", MFD_CLOEXEC);

	cr_assert(eq(int, (int)write(fd, text, strlen(text)), (int)strlen(text)));
	return fd;
}

Test(meet, all_ranks_derive_one_rendezvous_and_reach_rank_0_there)
{
	const struct tt_identity ids[] = {torchrun(0), torchrun(1)};
	struct tt_rendezvous r[2];
	int port;

	for (int i = 0; i < 2; i++)
		cr_assert(eq(int, meet(&ids[i], 0, &r[i]), TUTTI_OK), "%s", tt_last_error()->message);
	cr_assert(same_place(&r[0], &r[1]));
	cr_assert(not(r[0].authenticated));
	cr_assert(eq(int, r[0].addresses[0].port, r[1].addresses[0].port));
	cr_assert(eq(int, r[0].ports, r[1].ports));
	cr_assert(eq(int, r[0].port_step, r[1].port_step));
	cr_assert(ge(int, meeting.ntcp, 1));
	cr_assert(ge(int, meeting.local, 0));
	port = reach(&r[1]);
	cr_assert(port > 29500, "rank 0 was reached at port %d", port);
}

Test(meet, the_launchers_own_port_is_never_among_the_candidates)
{
	static const int ports[] = {1, 1023, 1024, 29500, 61439, 61440, 65520, 65534, 65535};

	for (size_t i = 0; i < TT_COUNT_OF(ports); i++) {
		for (unsigned call = 0; call < 50; call++) {
			struct tt_identity id = torchrun(1);
			struct tt_rendezvous r;

			id.root_port = ports[i];
			cr_assert(eq(int, meet(&id, call, &r), TUTTI_OK));
			cr_assert(ge(int, r.ports, 2));
			for (int c = 0; c < tt_rendezvous_count(&r); c++) {
				struct tt_address address;

				tt_rendezvous_address(&r, c, &address);
				cr_assert(
				    address.port != ports[i] && address.port != 0, "%d of port %d", c, ports[i]);
			}
		}
	}
}

Test(meet, other_calls_jobs_incarnations_roots_and_secrets_never_meet)
{
	struct tt_identity ids[8];
	struct tt_rendezvous r[8];
	const int fds[] = {make_memfd("a secret of the job, one"), make_memfd("a secret of the job, two")};

	for (int i = 0; i < 8; i++)
		ids[i] = torchrun(1);
	snprintf(ids[1].job, sizeof(ids[1].job), "torchrun/1/%d", (int)getpid());
	snprintf(ids[2].root_host, sizeof(ids[2].root_host), "127.0.0.2");
	ids[3].root_port++;
	ids[4].secret_fd = fds[0];
	ids[5].secret_fd = fds[1];
	ids[6].one_machine = true;
	for (int i = 0; i < 8; i++)
		cr_assert(eq(int, meet(&ids[i], i == 7, &r[i]), TUTTI_OK), "%s", tt_last_error()->message);
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < i; j++) {
			cr_assert(memcmp(r[i].key, r[j].key, sizeof(r[i].key)) != 0, "keys of %d and %d", i, j);
			cr_assert(
			    memcmp(r[i].epoch, r[j].epoch, sizeof(r[i].epoch)) != 0, "epochs of %d and %d", i, j);
		}
	close(fds[0]);
	close(fds[1]);
}

Test(meet, a_shared_secret_makes_it_authenticated)
{
	struct tt_identity ids[] = {torchrun(1), torchrun(1)};
	const int fds[] = {make_memfd("a secret of the job"), make_memfd("a secret of the job\n")};
	struct tt_rendezvous r[2];

	for (int i = 0; i < 2; i++) {
		ids[i].secret_fd = fds[i];
		cr_assert(eq(int, meet(&ids[i], 3, &r[i]), TUTTI_OK));
		cr_assert(r[i].authenticated);
		close(fds[i]);
	}
	cr_assert(same_place(&r[0], &r[1]));
}

Test(meet, on_one_machine_nothing_listens_to_the_network)
{
	struct tt_identity ids[] = {torchrun(0), torchrun(1)};
	struct tt_rendezvous r[2];

	for (int i = 0; i < 2; i++) {
		ids[i].one_machine = true;
		cr_assert(eq(int, meet(&ids[i], 0, &r[i]), TUTTI_OK));
		cr_assert(eq(int, r[i].naddresses, 0));
	}
	cr_assert(same_place(&r[0], &r[1]));
	cr_assert(eq(int, meeting.ntcp, 0));
	cr_assert(ge(int, meeting.local, 0));
}

Test(meet, a_root_given_by_a_person_is_where_rank_0_listens)
{
	struct tt_identity ids[] = {torchrun(0), torchrun(1)};
	struct tt_address probe = {.family = 4, .ip = {127, 0, 0, 1}};
	struct tt_rendezvous r[2];
	int fd;

	/* A port that is free now, from outside the range that other programs are given ports from. */
	cr_assert(eq(int, tt_listen_tcp(&probe, "21000-21999", &fd), TUTTI_OK));
	tt_fd_close(fd);
	for (int i = 0; i < 2; i++) {
		ids[i].root_given = true;
		ids[i].root_port = probe.port;
		cr_assert(eq(int, meet(&ids[i], 0, &r[i]), TUTTI_OK));
		cr_assert(eq(int, r[i].addresses[0].port, probe.port));
	}
	cr_assert(eq(int, reach(&r[1]), probe.port));
}

Test(meet, the_ports_stay_in_the_range_that_was_set)
{
	static const char *const ranges[] = {
	    "20000-20100", "20007-20007", "20000-20003", "65530-65535", "1024-65535"};

	for (size_t i = 0; i < TT_COUNT_OF(ranges); i++) {
		const struct tt_identity id = torchrun(1);
		uint16_t low, high;

		cr_assert(eq(int, tt_port_range_parse(ranges[i], &low, &high), TUTTI_OK));
		settings.text[TT_SET_PORT_RANGE] = (char *)ranges[i];
		for (unsigned call = 0; call < 50; call++) {
			struct tt_rendezvous r;

			cr_assert(eq(int, meet(&id, call, &r), TUTTI_OK));
			for (int c = 0; c < tt_rendezvous_count(&r); c++) {
				struct tt_address address;

				tt_rendezvous_address(&r, c, &address);
				cr_assert(
				    address.port >= low && address.port <= high, "%u in %s", address.port, ranges[i]);
			}
		}
		settings.text[TT_SET_PORT_RANGE] = NULL;
	}
}

Test(meet, a_root_that_is_not_here_makes_rank_0_listen_on_its_interfaces)
{
	struct tt_identity id = torchrun(0);
	struct tt_rendezvous r;

	snprintf(id.root_host, sizeof(id.root_host), "203.0.113.77"); /* belongs to nobody */
	cr_assert(eq(int, meet(&id, 0, &r), TUTTI_OK), "%s", tt_last_error()->message);
	cr_assert(ge(int, meeting.ntcp, 1));
	for (int i = 0; i < r.naddresses; i++)
		cr_assert(r.addresses[i].family == 6 || r.addresses[i].ip[0] != 203);
	cr_assert(gt(int, reach(&r), 0));
}

Test(meet, a_host_without_an_address_is_named)
{
	struct tt_identity id = torchrun(1);
	struct tt_rendezvous r;

	snprintf(id.root_host, sizeof(id.root_host), "not a host");
	cr_assert(eq(int, meet(&id, 0, &r), TUTTI_ERR_SYSTEM));
	cr_assert(message_has("not a host"));
	cr_assert(message_has("TUTTI_ROOT"));
}

Test(meet, without_a_place_to_meet_the_remedy_is_named)
{
	struct tt_identity id = torchrun(1);
	struct tt_rendezvous r;

	id.launcher = TT_LAUNCHER_OPENMPI;
	id.root_host[0] = '\0';
	cr_assert(eq(int, meet(&id, 0, &r), TUTTI_ERR_UNSUPPORTED));
	cr_assert(message_has("TUTTI_ROOT"));
}

Test(meet, one_alone_meets_nobody)
{
	struct tt_identity id = {.size = 1};
	struct tt_rendezvous r;

	cr_assert(eq(int, meet(&id, 0, &r), TUTTI_OK));
	cr_assert(eq(int, meeting.ntcp, 0));
	cr_assert(eq(int, meeting.local, -1));
}

/* ---- the caller's store ---------------------------------------------------------------------------------- */

struct memory_store {
	char key[64];
	char value[512];
	size_t bytes;
	int64_t timeout_ms;
	int sets, gets;
	tutti_status set_status, get_status;
};

static tutti_status
memory_set(void *context, const char *key, const void *value, size_t bytes)
{
	struct memory_store *s = context;

	s->sets++;
	snprintf(s->key, sizeof(s->key), "%s", key);
	memcpy(s->value, value, bytes);
	s->bytes = bytes;
	return s->set_status;
}

static tutti_status
memory_get(void *context, const char *key, void *value, size_t *bytes, int64_t timeout_ms)
{
	struct memory_store *s = context;

	s->gets++;
	s->timeout_ms = timeout_ms;
	if (s->get_status != TUTTI_OK)
		return s->get_status;
	if (strcmp(s->key, key) != 0)
		return TUTTI_ERR_TIMEOUT;
	memcpy(value, s->value, s->bytes < *bytes ? s->bytes : *bytes);
	*bytes = s->bytes;
	return TUTTI_OK;
}

static tutti_store
over(struct memory_store *memory)
{
	tutti_store store = TUTTI_STORE_INIT;

	store.context = memory;
	store.set = memory_set;
	store.get = memory_get;
	return store;
}

Test(meet, over_a_store_all_get_the_rendezvous_of_rank_0)
{
	struct memory_store memory = {.sets = 0};
	const tutti_store store = over(&memory);
	struct tt_rendezvous r[2];
	struct tt_meeting none;

	cr_assert(eq(int, tt_store_meet(0, &store, &settings, soon(), &r[0], &meeting), TUTTI_OK));
	cr_assert(eq(int, tt_store_meet(1, &store, &settings, soon(), &r[1], &none), TUTTI_OK));
	cr_assert(strcmp(memory.key, "tutti/id") == 0);
	cr_assert(memory.sets == 1 && memory.gets == 1);
	cr_assert(memory.timeout_ms > 0 && memory.timeout_ms <= 10000);
	cr_assert(same_place(&r[0], &r[1]));
	cr_assert(r[1].authenticated);
	cr_assert(gt(int, reach(&r[1]), 0));
	cr_assert(eq(int, tt_store_meet(1, &store, &settings, TT_FOREVER, &r[1], &none), TUTTI_OK));
	cr_assert(eq(i64, memory.timeout_ms, -1));
}

Test(meet, what_a_store_returns_comes_out_with_a_sentence)
{
	static const struct {
		int theirs;
		tutti_status ours;
	} cases[] = {{TUTTI_ERR_TIMEOUT, TUTTI_ERR_TIMEOUT}, {TUTTI_IN_PROGRESS, TUTTI_ERR_TIMEOUT},
	    {TUTTI_ERR_SYSTEM, TUTTI_ERR_SYSTEM}, {TUTTI_ERR_AUTH, TUTTI_ERR_AUTH}, {-1, TUTTI_ERR_INTERNAL},
	    {4711, TUTTI_ERR_INTERNAL}};
	struct tt_rendezvous r;

	for (size_t i = 0; i < TT_COUNT_OF(cases); i++) {
		struct memory_store memory = {
		    .set_status = (tutti_status)cases[i].theirs, .get_status = (tutti_status)cases[i].theirs};
		const tutti_store store = over(&memory);

		for (int rank = 0; rank < 2; rank++) {
			cr_assert(
			    eq(int, tt_store_meet(rank, &store, &settings, soon(), &r, &meeting), cases[i].ours));
			cr_assert(message_has("the store's"));
			cr_assert(message_has("tutti/id"));
		}
		/* Nobody will come: rank 0 must not go on listening. */
		cr_assert(eq(int, meeting.ntcp, 0));
		cr_assert(eq(int, meeting.local, -1));
	}
}

Test(meet, a_value_that_rank_0_did_not_set_is_refused)
{
	static const size_t lengths[] = {0, 1, 255, 257, 512};
	struct memory_store memory = {.key = "tutti/id"};
	const tutti_store store = over(&memory);
	struct tt_rendezvous r;

	for (size_t i = 0; i < TT_COUNT_OF(lengths); i++) {
		memory.bytes = lengths[i];
		cr_assert(eq(int, tt_store_meet(1, &store, &settings, soon(), &r, &meeting), TUTTI_ERR_ARGUMENT));
	}
	memory.bytes = sizeof(tutti_unique_id);
	cr_assert(eq(int, tt_store_meet(1, &store, &settings, soon(), &r, &meeting), TUTTI_ERR_ARGUMENT));
}

Test(meet, a_store_without_its_callbacks_is_refused)
{
	struct memory_store memory = {.sets = 0};
	tutti_store store = over(&memory);
	struct tt_rendezvous r;

	store.get = NULL;
	cr_assert(eq(int, tt_store_meet(0, &store, &settings, soon(), &r, &meeting), TUTTI_ERR_ARGUMENT));
	store = over(&memory);
	store.set = NULL;
	cr_assert(eq(int, tt_store_meet(1, &store, &settings, soon(), &r, &meeting), TUTTI_ERR_ARGUMENT));
	store = over(&memory);
	store.size = 8;
	cr_assert(eq(int, tt_store_meet(1, &store, &settings, soon(), &r, &meeting), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, tt_store_meet(1, NULL, &settings, soon(), &r, &meeting), TUTTI_ERR_ARGUMENT));
	cr_assert(memory.sets == 0 && memory.gets == 0);
}
