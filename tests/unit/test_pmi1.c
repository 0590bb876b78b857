/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pmi1.c - the PMI-1 client against servers that are good, slow, senseless, cut off and silent.
 *
 * The server is a thread at the other end of a socket pair. It answers by a script and never asserts.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "bootstrap/pmi1.h"

#define STEPS 12
#define HELLO "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n"
#define MAXES "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024\n"
#define SPACE "cmd=my_kvsname kvsname=kvs_4711_0\n"

/* One answer for each line that comes; after the last one the server closes, or falls silent. */
struct server {
	const char *answers[STEPS];
	size_t length[STEPS]; /* 0 = a string */
	bool silent, byte_by_byte;
	char asked[STEPS][512];
	int steps;
	int fd;
	pthread_t thread;
};

static bool
hear(struct server *s, char line[512])
{
	size_t n = 0;

	while (n < 511 && read(s->fd, line + n, 1) == 1) {
		if (line[n] == '\n') {
			line[n] = '\0';
			return true;
		}
		n++;
	}
	return false;
}

static void
say(struct server *s, const char *answer, size_t length)
{
	const size_t part = s->byte_by_byte ? 1 : length;

	for (size_t sent = 0; sent < length; sent += part) {
		if (send(s->fd, answer + sent, part, MSG_NOSIGNAL) < 0)
			return;
		if (s->byte_by_byte)
			usleep(200);
	}
}

static void *
serve(void *context)
{
	struct server *s = context;
	char line[512];

	for (int i = 0; i < STEPS && s->answers[i] != NULL && hear(s, line); i++) {
		memcpy(s->asked[i], line, sizeof(line));
		s->steps = i + 1;
		say(s, s->answers[i], s->length[i] > 0 ? s->length[i] : strlen(s->answers[i]));
	}
	/* A silent one stays until the client has gone. */
	while (s->silent && hear(s, line))
		;
	shutdown(s->fd, SHUT_RDWR);
	return NULL;
}

/* The client's end. */
static int
start(struct server *s)
{
	int pair[2];

	cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0));
	s->fd = pair[1];
	cr_assert(eq(int, pthread_create(&s->thread, NULL, serve, s), 0));
	tt_fd_guard(pair[0]);
	return pair[0];
}

static void
stop(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static int64_t
soon(void)
{
	return tt_deadline_ns(100);
}

static int64_t
later(void)
{
	return tt_deadline_ns(20000);
}

static bool
message_has(const char *text)
{
	return strstr(tt_last_error()->message, text) != NULL;
}

Test(pmi1, a_whole_conversation)
{
	struct server s = {.answers = {HELLO, MAXES, SPACE, "cmd=put_result rc=0 msg=success\n", "cmd=barrier_out\n",
			       "cmd=get_result rc=0 msg=success value=b-_9\n", "cmd=finalize_ack\n"}};
	static const char *const asked[] = {"cmd=init pmi_version=1 pmi_subversion=1", "cmd=get_maxes",
	    "cmd=get_my_kvsname", "cmd=put kvsname=kvs_4711_0 key=a value=b-_9", "cmd=barrier_in",
	    "cmd=get kvsname=kvs_4711_0 key=a", "cmd=finalize"};
	struct tt_pmi1 pmi;
	char value[16];

	cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_OK));
	cr_assert(eq(int, pmi.most_key, 64));
	cr_assert(eq(int, pmi.most_value, 1024));
	cr_assert(eq(int, tt_pmi1_put(&pmi, "a", "b-_9", later()), TUTTI_OK));
	cr_assert(eq(int, tt_pmi1_barrier(&pmi, later()), TUTTI_OK));
	cr_assert(eq(int, tt_pmi1_get(&pmi, "a", value, sizeof(value), later()), TUTTI_OK));
	cr_assert(strcmp(value, "b-_9") == 0);
	tt_pmi1_finalize(&pmi, later());
	stop(&s);
	cr_assert(eq(int, s.steps, (int)TT_COUNT_OF(asked)));
	for (size_t i = 0; i < TT_COUNT_OF(asked); i++)
		cr_assert(strcmp(s.asked[i], asked[i]) == 0, "%s", s.asked[i]);
}

Test(pmi1, by_port_it_says_who_it_is_and_skips_what_it_did_not_ask)
{
	struct server s = {
	    .answers = {"cmd=initack rc=0\ncmd=set size=3\ncmd=set rank=2\ncmd=set debug=0\n", HELLO, MAXES, SPACE}};
	struct tt_pmi1 pmi;

	cr_assert(eq(int, tt_pmi1_open_as(start(&s), 2, later(), &pmi), TUTTI_OK), "%s", tt_last_error()->message);
	tt_pmi1_close(&pmi);
	stop(&s);
	cr_assert(strcmp(s.asked[0], "cmd=initack pmiid=2") == 0);
}

Test(pmi1, a_server_that_sends_byte_by_byte_is_understood)
{
	struct server s = {.byte_by_byte = true, .answers = {HELLO, MAXES, SPACE, "cmd=barrier_out\n"}};
	struct tt_pmi1 pmi;

	cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_OK));
	cr_assert(eq(int, tt_pmi1_barrier(&pmi, later()), TUTTI_OK));
	tt_pmi1_close(&pmi);
	stop(&s);
}

Test(pmi1, whoever_does_not_speak_the_protocol_is_refused_in_words)
{
	static char endless[3 * TT_PMI1_LINE];
	const struct {
		const char *answer;
		size_t length;
	} senseless[] = {
	    {"HTTP/1.1 400 Bad Request\n", 0},
	    {"\n", 0},
	    {"cmd=\n", 0},
	    {"cmd=barrier_out\n", 0},
	    {"cmd=response_to_init\n", 0},
	    {"\0cmd=response_to_init rc=0\n", 27},
	    {"cmd=response_to_init\0 rc=0\n", 27},
	    {"xcmd=response_to_init rc=0\n", 0},
	    {"\033[2J\377\n", 0},
	    {endless, sizeof(endless)},
	};

	memset(endless, 'x', sizeof(endless));
	for (size_t i = 0; i < TT_COUNT_OF(senseless); i++) {
		struct server s = {.answers = {senseless[i].answer}, .length = {senseless[i].length}};
		struct tt_pmi1 pmi;

		cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_ERR_UNSUPPORTED), "%zu: %s", i,
		    tt_last_error()->message);
		cr_assert(message_has("does not speak PMI-1"), "%zu: %s", i, tt_last_error()->message);
		for (const char *c = tt_last_error()->message; *c != '\0'; c++)
			cr_assert(c[0] >= ' ' && c[0] <= '~', "%zu: an unprintable character in the message", i);
		cr_assert(eq(int, pmi.fd, -1));
		stop(&s);
	}
}

Test(pmi1, a_connection_that_ends_in_the_middle_of_a_line_is_an_error)
{
	struct server s = {.answers = {HELLO, "cmd=maxes kvsname_max=2"}};
	struct tt_pmi1 pmi;

	cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_ERR_PEER));
	cr_assert(eq(int, pmi.fd, -1));
	stop(&s);
}

Test(pmi1, a_silent_server_is_left_at_the_deadline)
{
	struct server s = {.silent = true};
	struct tt_pmi1 pmi;

	cr_assert(eq(int, tt_pmi1_open(start(&s), soon(), &pmi), TUTTI_ERR_TIMEOUT));
	cr_assert(message_has("\"init\""));
	stop(&s);
}

Test(pmi1, after_a_barrier_that_timed_out_nothing_more_is_asked)
{
	struct server s = {.silent = true, .answers = {HELLO, MAXES, SPACE}};
	struct tt_pmi1 pmi;
	char value[8];

	cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_OK));
	cr_assert(eq(int, tt_pmi1_barrier(&pmi, soon()), TUTTI_ERR_TIMEOUT));
	cr_assert(message_has("not all ranks"));
	/* The barrier's late answer would be taken for this one's. */
	cr_assert(eq(int, tt_pmi1_get(&pmi, "a", value, sizeof(value), later()), TUTTI_ERR_STATE));
	tt_pmi1_finalize(&pmi, later());
	stop(&s);
}

Test(pmi1, what_the_server_refuses_is_passed_on_and_breaks_nothing)
{
	struct server s = {.answers = {HELLO, MAXES, SPACE, "cmd=put_result rc=-1 msg=duplicate_key\n",
			       "cmd=get_result rc=-1 msg=key_not_found value=unknown\n", "cmd=barrier_out\n"}};
	struct tt_pmi1 pmi;
	char value[16];

	cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_OK));
	cr_assert(eq(int, tt_pmi1_put(&pmi, "a", "b", later()), TUTTI_ERR_SYSTEM));
	cr_assert(message_has("duplicate_key"));
	cr_assert(eq(int, tt_pmi1_get(&pmi, "a", value, sizeof(value), later()), TUTTI_ERR_SYSTEM));
	cr_assert(message_has("key_not_found"));
	cr_assert(eq(int, tt_pmi1_barrier(&pmi, later()), TUTTI_OK));
	tt_pmi1_close(&pmi);
	stop(&s);
}

Test(pmi1, a_value_that_is_too_long_for_its_room_is_never_cut)
{
	struct server s = {.answers = {HELLO, "cmd=maxes kvsname_max=256 keylen_max=8 vallen_max=4\n", SPACE,
			       "cmd=get_result rc=0 value=12345678\n"}};
	struct tt_pmi1 pmi;
	char value[8];

	cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_OK));
	cr_assert(eq(int, tt_pmi1_put(&pmi, "a", "1234", later()), TUTTI_ERR_UNSUPPORTED));
	cr_assert(eq(int, tt_pmi1_put(&pmi, "12345678", "1", later()), TUTTI_ERR_UNSUPPORTED));
	cr_assert(eq(int, tt_pmi1_get(&pmi, "a", value, sizeof(value), later()), TUTTI_ERR_UNSUPPORTED));
	tt_pmi1_close(&pmi);
	stop(&s);
}

Test(pmi1, senseless_limits_are_replaced_by_the_usual_ones)
{
	struct server s = {
	    .answers = {HELLO, "cmd=maxes kvsname_max=x keylen_max=-1 vallen_max=99999999999\n", SPACE}};
	struct tt_pmi1 pmi;

	cr_assert(eq(int, tt_pmi1_open(start(&s), later(), &pmi), TUTTI_OK));
	cr_assert(eq(int, pmi.most_key, 64));
	cr_assert(eq(int, pmi.most_value, 1024));
	tt_pmi1_close(&pmi);
	stop(&s);
}

Test(pmi1, the_shared_socket_keeps_its_flags)
{
	struct server s = {.answers = {HELLO, MAXES, SPACE}};
	struct tt_pmi1 pmi;
	const int fd = start(&s);
	const int flags = fcntl(fd, F_GETFL);

	cr_assert(eq(int, tt_pmi1_open(fd, later(), &pmi), TUTTI_OK));
	cr_assert(eq(int, fcntl(fd, F_GETFL), flags));
	tt_pmi1_close(&pmi);
	stop(&s);
}
