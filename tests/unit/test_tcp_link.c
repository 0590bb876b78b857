/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tcp_link.c - links over real sockets: how they come, and how they end.
 *
 * Both ends are usually in this process, driven in turn; loopback only.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "tcp/blob.h"
#include "tcp/endpoint.h"
#include "tcp/link.h"
#include "tcp/tcp.h"

#define LANES 2
#define PATIENCE_NS (20000 * TT_MS)

static const unsigned char job_key[TT_KEY_BYTES] = "thirty-two bytes of a shared key";
static unsigned char mark[TUTTI_MARK_BYTES] = "all messages have this mark";

/* Two ranks; each sees the other as `link`. */
struct pair {
	tutti_endpoint *endpoint[2];
	tutti_link *link[2];
};

struct setup {
	uint32_t lanes[2];
	const unsigned char *key[2];
	int64_t connect_ms;
};

static const struct setup usual = {{LANES, LANES}, {job_key, job_key}, 20000};

static tutti_endpoint *
open_rank(const struct setup *setup, int rank)
{
	const int local[] = {rank};
	const tutti_environment env = {.size = sizeof(env),
	    .rank = rank,
	    .nranks = 2,
	    .lanes = setup->lanes[rank],
	    .local_ranks = local,
	    .nlocal = 1,
	    .key = setup->key[rank],
	    .interfaces = "lo",
	    .cores = 1,
	    .connect_timeout_ms = setup->connect_ms,
	    .peer_timeout_ms = 20000};
	tutti_endpoint *endpoint = NULL;

	cr_assert(eq(int, tt_transport_tcp()->open(&env, &endpoint), TUTTI_OK), "%s", tt_last_error()->message);
	return endpoint;
}

static void
open_pair(struct pair *pair, const struct setup *setup)
{
	for (int i = 0; i < 2; i++)
		pair->endpoint[i] = open_rank(setup, i);
	for (int i = 0; i < 2; i++) {
		unsigned char address[TUTTI_ADDRESS_BYTES];
		size_t bytes = sizeof(address);

		cr_assert(eq(int, tt_endpoint_address(pair->endpoint[1 - i], address, &bytes), TUTTI_OK));
		cr_assert(eq(int,
		    tt_transport_tcp()->connect(pair->endpoint[i], 1 - i, address, bytes, &pair->link[i]), TUTTI_OK));
	}
}

static void
close_pair(struct pair *pair)
{
	tt_endpoint_close(pair->endpoint[0]);
	tt_endpoint_close(pair->endpoint[1]);
}

struct message {
	tutti_transfer transfer;
	struct iovec part;
};

static void
make(struct message *m, uint32_t lane, void *bytes, size_t n)
{
	m->part = (struct iovec){bytes, n};
	m->transfer =
	    (tutti_transfer){.parts = &m->part, .nparts = 1, .lane = lane, .bytes = n, .mark = mark, .grain = 1};
}

static void
post_send(tutti_link *link, struct message *m, uint32_t lane, void *bytes, size_t n)
{
	make(m, lane, bytes, n);
	cr_assert(eq(int, tt_tcp_link_send(link, &m->transfer), TUTTI_OK), "%s", tt_last_error()->message);
}

static void
post_recv(tutti_link *link, struct message *m, uint32_t lane, void *bytes, size_t n)
{
	make(m, lane, bytes, n);
	cr_assert(eq(int, tt_tcp_link_recv(link, &m->transfer), TUTTI_OK), "%s", tt_last_error()->message);
}

/* Both ends make progress until the message has ended. */
static tutti_status
run(struct pair *pair, const struct message *m)
{
	const int64_t deadline = tt_now_ns() + PATIENCE_NS;

	while (m->transfer.status == TUTTI_IN_PROGRESS && tt_now_ns() < deadline)
		for (int i = 0; i < 2; i++)
			if (pair->endpoint[i] != NULL)
				tt_endpoint_progress(pair->endpoint[i]);
	return m->transfer.status;
}

/* A message each way, small or large. */
static void
exchange(struct pair *pair, size_t n)
{
	static unsigned char out[2][200000], in[2][200000];
	struct message sends[2], recvs[2];

	for (int i = 0; i < 2; i++) {
		memset(out[i], (int)(n % 100) + i, n);
		memset(in[1 - i], 0, n);
		post_recv(pair->link[1 - i], &recvs[1 - i], 0, in[1 - i], n);
		post_send(pair->link[i], &sends[i], 0, out[i], n);
	}
	for (int i = 0; i < 2; i++) {
		cr_assert(eq(int, run(pair, &sends[i]), TUTTI_OK));
		cr_assert(eq(int, run(pair, &recvs[i]), TUTTI_OK));
		cr_assert(eq(int, memcmp(in[i], out[1 - i], n), 0));
	}
}

static int
count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(folder) != NULL)
		n++;
	closedir(folder);
	return n;
}

static const char *
why(const tutti_link *link)
{
	static char text[256];

	tt_tcp_link_error(link, text, sizeof(text));
	return text;
}

static int
stranger(const tutti_endpoint *endpoint)
{
	struct pollfd ready = {.events = POLLOUT};

	cr_assert(eq(int, tt_connect_tcp(&endpoint->places[0].address, &ready.fd), TUTTI_OK));
	poll(&ready, 1, 5000);
	return ready.fd;
}

/* ---- how they come ---- */

Test(tcp_link, descriptors_are_as_before_after_a_life, .timeout = 60)
{
	struct pair pair;
	int before;

	count_descriptors();
	before = count_descriptors();
	open_pair(&pair, &usual);
	exchange(&pair, 100);
	close_pair(&pair);
	cr_assert(eq(int, count_descriptors(), before));
}

Test(tcp_link, no_connection_before_the_first_transfer, .timeout = 60)
{
	struct pair pair;

	open_pair(&pair, &usual);
	for (int i = 0; i < 100; i++)
		cr_assert(
		    eq(int, tt_endpoint_progress(pair.endpoint[0]) + tt_endpoint_progress(pair.endpoint[1]), 0));
	cr_assert(eq(int, pair.endpoint[0]->nlive + pair.endpoint[1]->nlive, 0));
	cr_assert(pair.endpoint[0]->candidates == NULL);
	close_pair(&pair);
}

/* Either rank alone has something to send, and the other has not asked for anything yet. */
Test(tcp_link, either_rank_may_be_the_first, .timeout = 60)
{
	for (int sender = 0; sender < 2; sender++) {
		struct pair pair;
		struct message send, recv;
		char out[] = "hello", in[sizeof(out)] = "";

		open_pair(&pair, &usual);
		post_send(pair.link[sender], &send, 1, out, sizeof(out));
		cr_assert(eq(int, run(&pair, &send), TUTTI_OK));
		post_recv(pair.link[1 - sender], &recv, 1, in, sizeof(in));
		cr_assert(eq(int, run(&pair, &recv), TUTTI_OK));
		cr_assert(eq(str, (char *)in, (char *)out));
		close_pair(&pair);
	}
}

Test(tcp_link, calls_that_cross_make_one_link, .timeout = 60)
{
	struct pair pair;
	struct message first[2];
	char out[2][8] = {"from 0", "from 1"};
	int crossed = 0;

	open_pair(&pair, &usual);
	for (int i = 0; i < 2; i++)
		post_send(pair.link[i], &first[i], 1, out[i], sizeof(out[i]));
	/* The higher rank runs out of patience before the lower one makes any progress. */
	while (pair.link[1]->dial.state != TT_DIAL_BUSY)
		tt_endpoint_progress(pair.endpoint[1]);
	cr_assert(eq(int, (int)pair.link[0]->dial.state, TT_DIAL_BUSY));
	crossed = pair.endpoint[0]->candidates != NULL && pair.endpoint[1]->candidates != NULL;
	cr_assert(crossed);
	exchange(&pair, 1000);
	exchange(&pair, 150000);
	for (int i = 0; i < 2; i++) {
		struct message recv;
		char in[8] = "";

		post_recv(pair.link[1 - i], &recv, 1, in, sizeof(in));
		cr_assert(eq(int, run(&pair, &recv), TUTTI_OK));
		cr_assert(eq(str, (char *)in, out[i]));
	}
	for (int i = 0; i < 200; i++)
		exchange(&pair, 8);
	cr_assert(eq(int, pair.endpoint[0]->nlive, 1));
	cr_assert(eq(int, pair.endpoint[1]->nlive, 1));
	cr_assert(pair.endpoint[0]->candidates == NULL && pair.endpoint[1]->candidates == NULL);
	close_pair(&pair);
}

Test(tcp_link, a_call_that_is_answered_late_is_no_loss, .timeout = 60)
{
	struct pair pair;
	struct message send, recv;
	char out[] = "hello", in[sizeof(out)] = "";
	int64_t until;

	open_pair(&pair, &usual);
	post_send(pair.link[0], &send, 0, out, sizeof(out));
	/* Rank 1 takes the call, then waits for longer than it allows a stranger. */
	for (until = tt_now_ns() + 100 * TT_MS; tt_now_ns() < until;)
		tt_endpoint_progress(pair.endpoint[1]);
	for (until = tt_now_ns() + (TT_HANDSHAKE_MS + 200) * TT_MS; tt_now_ns() < until; poll(NULL, 0, 10))
		tt_endpoint_progress(pair.endpoint[1]);
	post_recv(pair.link[1], &recv, 0, in, sizeof(in));
	cr_assert(eq(int, run(&pair, &recv), TUTTI_OK), "%s", why(pair.link[1]));
	cr_assert(eq(str, (char *)in, (char *)out));
	close_pair(&pair);
}

/* ---- strangers ---- */

Test(tcp_link, strangers_delay_nobody, .timeout = 60)
{
	enum { STRANGERS = 90 };
	struct pair pair;
	int fds[STRANGERS];
	unsigned char garbage[500];
	size_t done;

	memset(garbage, 'x', sizeof(garbage));
	open_pair(&pair, &usual);
	for (int i = 0; i < STRANGERS; i++) {
		fds[i] = stranger(pair.endpoint[i % 2]);
		/* Some say nothing, some say what they should not, some nearly the right thing. */
		if (i % 3 == 1)
			(void)tt_write_some(fds[i], garbage, sizeof(garbage), &done);
		if (i % 3 == 2) {
			struct tt_greeting greeting;
			const struct tt_hello hello = {.purpose = TT_PURPOSE_TCP, .rank = 1 - i % 2};
			const void *bytes;
			size_t n;

			tt_greeting_init(&greeting, 1, mark, &hello);
			bytes = tt_greeting_take(&greeting, &n);
			(void)tt_write_some(fds[i], bytes, n, &done);
		}
		if (i % 10 == 0)
			exchange(&pair, 100 + (size_t)i * 1000);
		cr_assert(le(int, pair.endpoint[0]->nunproven, TT_TCP_UNPROVEN));
	}
	for (int i = 0; i < 50; i++)
		exchange(&pair, 3000 * (size_t)i);
	for (int i = 0; i < STRANGERS; i++)
		close(fds[i]);
	close_pair(&pair);
}

Test(tcp_link, more_strangers_than_there_is_room_for, .timeout = 60)
{
	enum { STRANGERS = 200 };
	struct pair pair;
	int fds[STRANGERS];

	open_pair(&pair, &usual);
	for (int i = 0; i < STRANGERS; i++) {
		fds[i] = stranger(pair.endpoint[1]);
		tt_endpoint_progress(pair.endpoint[1]);
		cr_assert(le(int, pair.endpoint[1]->nunproven, TT_TCP_UNPROVEN));
	}
	exchange(&pair, 1000);
	for (int i = 0; i < STRANGERS; i++)
		close(fds[i]);
	close_pair(&pair);
}

Test(tcp_link, a_silent_stranger_is_dropped, .timeout = 60)
{
	struct pair pair;
	struct pollfd fd = {.events = POLLIN};
	int64_t deadline = tt_now_ns() + PATIENCE_NS;

	open_pair(&pair, &usual);
	fd.fd = stranger(pair.endpoint[0]);
	while (poll(&fd, 1, 10) == 0 && tt_now_ns() < deadline)
		tt_endpoint_progress(pair.endpoint[0]);
	cr_assert(ne(int, fd.revents, 0), "it is still connected");
	cr_assert(pair.endpoint[0]->candidates == NULL);
	close(fd.fd);
	close_pair(&pair);
}

Test(tcp_link, no_descriptor_left_is_survived, .timeout = 60)
{
	struct rlimit limit, none;
	struct pair pair;
	struct message send;
	char out[] = "hello";

	open_pair(&pair, &usual);
	/* Rank 0 calls; then not one descriptor is left to take the call. */
	post_send(pair.link[0], &send, 1, out, sizeof(out));
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	for (int i = 0; i < 300; i++)
		tt_endpoint_progress(pair.endpoint[1]);
	cr_assert(pair.endpoint[1]->deaf);
	setrlimit(RLIMIT_NOFILE, &limit);
	cr_assert(eq(int, run(&pair, &send), TUTTI_OK));
	exchange(&pair, 100);
	close_pair(&pair);
}

Test(tcp_link, a_busy_peer_is_waited_for_beyond_the_limit, .timeout = 60)
{
	struct setup hasty = usual;
	struct pair pair;
	struct message send;
	char out[] = "hello";
	const int64_t until = tt_now_ns() + 700 * TT_MS;

	hasty.connect_ms = 200;
	open_pair(&pair, &hasty);
	post_send(pair.link[0], &send, 0, out, sizeof(out));
	/* Rank 1 listens, and does not look. */
	for (; tt_now_ns() < until; poll(NULL, 0, 1))
		tt_endpoint_progress(pair.endpoint[0]);
	cr_assert(eq(int, run(&pair, &send), TUTTI_OK), "%s", why(pair.link[0]));
	close_pair(&pair);
}

/* ---- how they do not come ---- */

static void
check_unreachable(struct pair *pair, const char *words)
{
	struct message send;
	char out[8] = "";

	post_send(pair->link[0], &send, 0, out, sizeof(out));
	cr_assert(eq(int, run(pair, &send), TUTTI_ERR_PEER));
	cr_assert(strstr(why(pair->link[0]), "rank 1") != NULL, "%s", why(pair->link[0]));
	cr_assert(strstr(why(pair->link[0]), words) != NULL, "%s", why(pair->link[0]));
	cr_assert(eq(int, tt_tcp_link_send(pair->link[0], &send.transfer), TUTTI_ERR_PEER));
}

Test(tcp_link, nobody_there_is_an_error_after_the_limit, .timeout = 60)
{
	struct setup hasty = usual;
	struct pair pair;

	hasty.connect_ms = 300;
	open_pair(&pair, &hasty);
	tt_endpoint_close(pair.endpoint[1]);
	pair.endpoint[1] = NULL;
	check_unreachable(&pair, "could not be reached within 300 ms");
	tt_endpoint_close(pair.endpoint[0]);
}

Test(tcp_link, another_key_does_not_connect, .timeout = 60)
{
	static const unsigned char other[TT_KEY_BYTES] = "thirty-two bytes of another key!";
	struct setup wrong = {{LANES, LANES}, {job_key, other}, 300};
	struct pair pair;

	open_pair(&pair, &wrong);
	check_unreachable(&pair, "secret");
	cr_assert(eq(int, pair.endpoint[1]->nlive, 0));
	close_pair(&pair);
}

Test(tcp_link, another_endpoint_at_the_same_port_does_not_connect, .timeout = 60)
{
	struct setup hasty = usual;
	struct pair pair;

	hasty.connect_ms = 300;
	open_pair(&pair, &hasty);
	pair.link[0]->nonce[3] ^= 1;
	check_unreachable(&pair, "could not be reached within 300 ms");
	close_pair(&pair);
}

Test(tcp_link, other_lanes_are_a_mismatch, .timeout = 60)
{
	const struct setup wrong = {{LANES, LANES + 1}, {job_key, job_key}, 20000};
	struct pair pair;
	struct message send;
	char out[8] = "";

	open_pair(&pair, &wrong);
	post_send(pair.link[0], &send, 0, out, sizeof(out));
	cr_assert(eq(int, run(&pair, &send), TUTTI_ERR_MISMATCH));
	cr_assert(strstr(why(pair.link[0]), "lanes") != NULL);
	close_pair(&pair);
}

Test(tcp_link, a_transfer_that_is_not_well_formed_is_refused, .timeout = 60)
{
	struct pair pair;
	struct message m;
	char bytes[16];

	open_pair(&pair, &usual);
	make(&m, LANES, bytes, 8);
	cr_assert(eq(int, tt_tcp_link_send(pair.link[0], &m.transfer), TUTTI_ERR_ARGUMENT));
	make(&m, 0, bytes, 8);
	m.transfer.bytes = 9;
	cr_assert(eq(int, tt_tcp_link_recv(pair.link[0], &m.transfer), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, tt_tcp_link_error(pair.link[0], bytes, sizeof(bytes)), TUTTI_OK));
	close_pair(&pair);
}

/* A rank's message to itself ends two transfers in one post; whoever looks only after progress() must hear of it. */
Test(tcp_link, what_a_post_ended_is_news, .timeout = 60)
{
	struct pair pair;
	struct message send, recv;
	char out[8] = "self", in[8] = "";

	open_pair(&pair, &usual);
	cr_assert(eq(int, tt_endpoint_link(pair.endpoint[0], 0, &pair.link[1]), TUTTI_OK));
	post_recv(pair.link[1], &recv, 0, in, sizeof(in));
	post_send(pair.link[1], &send, 0, out, sizeof(out));
	cr_assert(eq(int, recv.transfer.status, TUTTI_OK));
	cr_assert(eq(int, tt_endpoint_arm(pair.endpoint[0]), TUTTI_IN_PROGRESS));
	cr_assert(gt(int, tt_endpoint_progress(pair.endpoint[0]), 0));
	cr_assert(eq(int, tt_endpoint_progress(pair.endpoint[0]), 0));
	cr_assert(eq(int, tt_endpoint_arm(pair.endpoint[0]), TUTTI_OK));
	tt_endpoint_disarm(pair.endpoint[0]);
	close_pair(&pair);
}

Test(tcp_link, an_offer_travels_with_the_grants_of_the_next_progress, .timeout = 60)
{
	static unsigned char out[200000], in[sizeof(out)];
	struct pair pair;
	struct message sends[2], recvs[2];
	const struct tt_output *output;
	uint64_t before;

	open_pair(&pair, &usual);
	exchange(&pair, 8);
	output = &pair.link[0]->stream.first.out;
	before = output->written;
	post_send(pair.link[0], &sends[0], 0, out, sizeof(out));
	post_recv(pair.link[0], &recvs[0], 0, in, sizeof(in));
	cr_assert(eq(u64, output->written, before));
	/* Nor may anybody sleep over it. */
	cr_assert(eq(int, tt_endpoint_arm(pair.endpoint[0]), TUTTI_IN_PROGRESS));
	tt_endpoint_progress(pair.endpoint[0]);
	cr_assert(eq(u64, output->written, before + 2 * TT_FRAME_LONG + 1)); /* and the byte behind every batch */
	post_recv(pair.link[1], &recvs[1], 0, in, sizeof(in));
	post_send(pair.link[1], &sends[1], 0, out, sizeof(out));
	for (int i = 0; i < 2; i++) {
		cr_assert(eq(int, run(&pair, &sends[i]), TUTTI_OK));
		cr_assert(eq(int, run(&pair, &recvs[i]), TUTTI_OK));
	}
	close_pair(&pair);
}

/* ---- how they end ---- */

/* The child takes part until it is killed. */
static void
child_rank(int from_parent, int to_parent)
{
	tutti_endpoint *endpoint = open_rank(&usual, 1);
	unsigned char address[TUTTI_ADDRESS_BYTES];
	size_t bytes = sizeof(address);
	tutti_link *link;
	struct message recv;
	char in[8];

	if (tt_endpoint_address(endpoint, address, &bytes) != TUTTI_OK ||
	    write(to_parent, address, bytes) != (ssize_t)bytes ||
	    read(from_parent, address, bytes) != (ssize_t)bytes ||
	    tt_transport_tcp()->connect(endpoint, 0, address, bytes, &link) != TUTTI_OK)
		_exit(1);
	make(&recv, 0, in, sizeof(in));
	if (tt_tcp_link_recv(link, &recv.transfer) != TUTTI_OK)
		_exit(1);
	for (;;)
		tt_endpoint_progress(endpoint);
}

Test(tcp_link, peer_death_ends_pending_ops, .timeout = 60)
{
	static unsigned char large[8 << 20];
	struct pair pair = {{open_rank(&usual, 0), NULL}, {NULL, NULL}};
	int down[2], up[2];
	unsigned char address[TUTTI_ADDRESS_BYTES];
	size_t bytes = sizeof(address);
	struct message first, sends[2], recvs[3];
	char in[3][8];
	pid_t child;

	cr_assert(eq(int, pipe(down) + pipe(up), 0));
	cr_assert(eq(int, tt_endpoint_address(pair.endpoint[0], address, &bytes), TUTTI_OK));
	cr_assert(eq(int, (int)write(down[1], address, bytes), (int)bytes));
	child = fork();
	if (child == 0)
		child_rank(down[0], up[1]);
	cr_assert(eq(int, (int)read(up[0], address, bytes), (int)bytes));
	cr_assert(eq(int, tt_transport_tcp()->connect(pair.endpoint[0], 1, address, bytes, &pair.link[0]), TUTTI_OK));
	post_send(pair.link[0], &first, 0, large, 8);
	cr_assert(eq(int, run(&pair, &first), TUTTI_OK));
	for (uint32_t i = 0; i < 3; i++)
		post_recv(pair.link[0], &recvs[i], i % LANES, in[i], sizeof(in[i]));
	for (uint32_t i = 0; i < 2; i++)
		post_send(pair.link[0], &sends[i], i, large, sizeof(large));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (int i = 0; i < 3; i++)
		cr_assert(eq(int, run(&pair, &recvs[i]), TUTTI_ERR_PEER));
	for (int i = 0; i < 2; i++)
		cr_assert(eq(int, run(&pair, &sends[i]), TUTTI_ERR_PEER));
	cr_assert(strstr(why(pair.link[0]), "rank 1 (127.0.0.1:") != NULL, "%s", why(pair.link[0]));
	cr_assert(strstr(why(pair.link[0]), "has left") == NULL, "%s", why(pair.link[0]));
	cr_assert(eq(int, tt_tcp_link_recv(pair.link[0], &recvs[0].transfer), TUTTI_ERR_PEER));
	tt_endpoint_close(pair.endpoint[0]);
	for (int i = 0; i < 2; i++) {
		close(down[i]);
		close(up[i]);
	}
}

Test(tcp_link, what_was_sent_before_leaving_is_received_after, .timeout = 60)
{
	struct pair pair;
	struct message send, recv, more;
	char out[2000], in[sizeof(out)] = "";

	memset(out, 'm', sizeof(out));
	open_pair(&pair, &usual);
	exchange(&pair, 100);
	post_send(pair.link[0], &send, 1, out, sizeof(out));
	cr_assert(eq(int, run(&pair, &send), TUTTI_OK));
	post_recv(pair.link[1], &more, 0, in, 8);
	tt_endpoint_close(pair.endpoint[0]);
	pair.endpoint[0] = NULL;
	cr_assert(eq(int, run(&pair, &more), TUTTI_ERR_PEER));
	cr_assert(strstr(why(pair.link[1]), "rank 0 (127.0.0.1:") != NULL, "%s", why(pair.link[1]));
	cr_assert(strstr(why(pair.link[1]), "has left") != NULL, "%s", why(pair.link[1]));
	make(&recv, 1, in, sizeof(in));
	cr_assert(eq(int, tt_tcp_link_recv(pair.link[1], &recv.transfer), TUTTI_OK));
	cr_assert(eq(int, recv.transfer.status, TUTTI_OK));
	cr_assert(eq(int, memcmp(in, out, sizeof(out)), 0));
	cr_assert(eq(int, tt_tcp_link_recv(pair.link[1], &recv.transfer), TUTTI_ERR_PEER));
	tt_endpoint_close(pair.endpoint[1]);
}

Test(tcp_link, close_ends_what_is_pending_here, .timeout = 60)
{
	static unsigned char large[1 << 20];
	struct pair pair;
	struct message send, recv, self;
	char in[8];

	open_pair(&pair, &usual);
	exchange(&pair, 100);
	post_send(pair.link[0], &send, 0, large, sizeof(large));
	post_recv(pair.link[0], &recv, 0, in, sizeof(in));
	cr_assert(eq(int, tt_endpoint_link(pair.endpoint[0], 0, &pair.link[1]), TUTTI_OK));
	post_recv(pair.link[1], &self, 0, in, sizeof(in));
	tt_endpoint_close(pair.endpoint[0]);
	cr_assert(eq(int, send.transfer.status, TUTTI_ERR_ABORTED));
	cr_assert(eq(int, recv.transfer.status, TUTTI_ERR_ABORTED));
	cr_assert(eq(int, self.transfer.status, TUTTI_ERR_ABORTED));
	tt_endpoint_close(pair.endpoint[1]);
}

/* Nobody had called before the cancel: who calls then is told. */
Test(tcp_link, cancel_is_told_to_those_who_call_later, .timeout = 60)
{
	for (int canceller = 0; canceller < 2; canceller++) {
		struct pair pair;
		struct message recv;
		char in[8];

		open_pair(&pair, &usual);
		tt_endpoint_cancel(pair.endpoint[canceller]);
		post_recv(pair.link[1 - canceller], &recv, 0, in, sizeof(in));
		cr_assert(eq(int, run(&pair, &recv), TUTTI_ERR_PEER));
		close_pair(&pair);
	}
}
