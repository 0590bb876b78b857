/* SPDX-License-Identifier: Apache-2.0
 *
 * pmi1.c - the PMI-1 wire protocol: one line asks, one line answers.
 *
 *     cmd=init pmi_version=1 pmi_subversion=1        cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0
 *     cmd=get_maxes                                  cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024
 *     cmd=get_my_kvsname                             cmd=my_kvsname kvsname=kvs_4711_0
 *     cmd=put kvsname=K key=a value=b                cmd=put_result rc=0 msg=success
 *     cmd=barrier_in                                 cmd=barrier_out
 *     cmd=get kvsname=K key=a                        cmd=get_result rc=0 msg=success value=b
 *
 * The server never speaks unasked, but on a PMI_PORT connection, where it adds "cmd=set ..." lines. Once an answer
 * is late or senseless, question and answer can no longer be told to belong together: the connection is broken for
 * good. The socket may be shared with an MPI library, hence no O_NONBLOCK: each call asks not to wait.
 */
#include "bootstrap/pmi1.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/net.h"
#include "base/process.h"

#define POLL_MOST_MS 60000

static tutti_status
wait_for(struct tt_pmi1 *pmi, short events, const char *what, int64_t deadline_ns)
{
	struct pollfd p = {.fd = pmi->fd, .events = events};

	for (;;) {
		const int wait_ms = tt_poll_ms(deadline_ns, tt_now_ns(), POLL_MOST_MS);
		const int ready = poll(&p, 1, wait_ms);

		/* Errors too are read from the socket itself. */
		if (ready > 0)
			return TUTTI_OK;
		if (ready == 0 && wait_ms == 0)
			return tt_fail(TUTTI_ERR_TIMEOUT, -1,
			    "the launcher's PMI server did not answer \"%s\" in time%s", what,
			    strcmp(what, "barrier_in") == 0 ? ": not all ranks have asked for a communicator" : "");
	}
}

static tutti_status
send_line(struct tt_pmi1 *pmi, const char *line, const char *what, int64_t deadline_ns)
{
	const size_t bytes = strlen(line);
	size_t sent = 0, n;

	while (sent < bytes) {
		TT_TRY(wait_for(pmi, POLLOUT, what, deadline_ns));
		TT_TRY(tt_write_some(pmi->fd, line + sent, bytes - sent, &n));
		sent += n;
	}
	return TUTTI_OK;
}

static tutti_status
senseless(const char *what, const char *answer)
{
	char seen[80];
	size_t n = strnlen(answer, sizeof(seen) - 1);

	memcpy(seen, answer, n);
	seen[n] = '\0';
	for (char *c = seen; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
	    "the launcher does not speak PMI-1: to \"%s\" it answered \"%s\"; set TUTTI_RANK, TUTTI_SIZE and "
	    "TUTTI_ROOT "
	    "to do without it",
	    what, seen);
}

/* One line without its end; what follows it stays for the next. */
static tutti_status
read_line(struct tt_pmi1 *pmi, const char *what, char line[TT_PMI1_LINE], int64_t deadline_ns)
{
	for (;;) {
		const char *end = memchr(pmi->in, '\n', pmi->in_bytes);
		size_t n;

		if (end != NULL) {
			const size_t length = (size_t)(end - pmi->in);

			memcpy(line, pmi->in, length);
			line[length] = '\0';
			pmi->in_bytes -= length + 1;
			memmove(pmi->in, end + 1, pmi->in_bytes);
			return strlen(line) == length ? TUTTI_OK : senseless(what, line);
		}
		if (pmi->in_bytes == sizeof(pmi->in)) {
			pmi->in[sizeof(pmi->in) - 1] = '\0';
			return senseless(what, pmi->in);
		}
		TT_TRY(wait_for(pmi, POLLIN, what, deadline_ns));
		TT_TRY(tt_read_some(pmi->fd, pmi->in + pmi->in_bytes, sizeof(pmi->in) - pmi->in_bytes, &n));
		pmi->in_bytes += n;
	}
}

/* The value of "name=" in a line of words; false if it is not there or does not fit. */
static bool
find_word(const char *line, const char *name, char *value, size_t bytes)
{
	const size_t length = strlen(name);

	while (*line != '\0') {
		const size_t word = strcspn(line, " ");

		if (word > length && line[length] == '=' && strncmp(line, name, length) == 0) {
			const size_t n = word - length - 1;

			if (n >= bytes)
				return false;
			memcpy(value, line + length + 1, n);
			value[n] = '\0';
			return true;
		}
		line += word + strspn(line + word, " ");
	}
	return false;
}

static tutti_status
ask(struct tt_pmi1 *pmi, const char *what, const char *wanted, char answer[TT_PMI1_LINE], int64_t deadline_ns,
    const char *question)
{
	char word[64];

	TT_TRY(send_line(pmi, question, what, deadline_ns));
	do {
		TT_TRY(read_line(pmi, what, answer, deadline_ns));
		if (!find_word(answer, "cmd", word, sizeof(word)))
			return senseless(what, answer);
	} while (strcmp(word, "set") == 0);
	return strcmp(word, wanted) == 0 ? TUTTI_OK : senseless(what, answer);
}

/* Asks `what`; the answer has to be the command `wanted`. Without the newline, which is added here. */
static tutti_status TT_PRINTF(6, 7) request(struct tt_pmi1 *pmi, const char *what, const char *wanted,
    char answer[TT_PMI1_LINE], int64_t deadline_ns, const char *format, ...)
{
	char question[TT_PMI1_LINE];
	tutti_status status;
	va_list arguments;
	int n;

	if (pmi->broken)
		return tt_fail(TUTTI_ERR_STATE, -1,
		    "the connection to the launcher's PMI server is broken since an earlier failure");
	va_start(arguments, format);
	n = vsnprintf(question, sizeof(question) - 1, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= sizeof(question) - 1)
		return tt_fail(TUTTI_ERR_INTERNAL, -1, "the PMI command \"%s\" is too long", what);
	question[n] = '\n';
	question[n + 1] = '\0';
	status = ask(pmi, what, wanted, answer, deadline_ns, question);
	pmi->broken = status != TUTTI_OK;
	return status;
}

/* The server understood and said no. */
static tutti_status
check_result(const char *what, const char *answer)
{
	char code[16], message[128];

	if (!find_word(answer, "rc", code, sizeof(code)))
		return senseless(what, answer);
	if (strcmp(code, "0") == 0)
		return TUTTI_OK;
	if (!find_word(answer, "msg", message, sizeof(message)))
		message[0] = '\0';
	return tt_fail(
	    TUTTI_ERR_SYSTEM, -1, "the launcher's PMI server refused \"%s\" with code %s %s", what, code, message);
}

static int
read_limit(const char *answer, const char *name, int otherwise)
{
	char text[16];
	long value;

	if (!find_word(answer, name, text, sizeof(text)))
		return otherwise;
	value = strtol(text, NULL, 10);
	return value > 0 && value < TT_PMI1_LINE ? (int)value : otherwise;
}

static tutti_status
say_hello(struct tt_pmi1 *pmi, int64_t deadline_ns)
{
	char answer[TT_PMI1_LINE];

	TT_TRY(
	    request(pmi, "init", "response_to_init", answer, deadline_ns, "cmd=init pmi_version=1 pmi_subversion=1"));
	TT_TRY(check_result("init", answer));
	TT_TRY(request(pmi, "get_maxes", "maxes", answer, deadline_ns, "cmd=get_maxes"));
	pmi->most_key = read_limit(answer, "keylen_max", 64);
	pmi->most_value = read_limit(answer, "vallen_max", 1024);
	TT_TRY(request(pmi, "get_my_kvsname", "my_kvsname", answer, deadline_ns, "cmd=get_my_kvsname"));
	if (!find_word(answer, "kvsname", pmi->space, sizeof(pmi->space)) || pmi->space[0] == '\0')
		return senseless("get_my_kvsname", answer);
	return TUTTI_OK;
}

static tutti_status
open_link(int fd, const int *id, int64_t deadline_ns, struct tt_pmi1 *pmi)
{
	char answer[TT_PMI1_LINE];
	tutti_status status = TUTTI_OK;

	memset(pmi, 0, sizeof(*pmi));
	pmi->fd = fd;
	if (id != NULL)
		status = request(pmi, "initack", "initack", answer, deadline_ns, "cmd=initack pmiid=%d", *id);
	if (status == TUTTI_OK)
		status = say_hello(pmi, deadline_ns);
	if (status != TUTTI_OK)
		tt_pmi1_close(pmi);
	return status;
}

tutti_status
tt_pmi1_open(int fd, int64_t deadline_ns, struct tt_pmi1 *pmi)
{
	return open_link(fd, NULL, deadline_ns, pmi);
}

tutti_status
tt_pmi1_open_as(int fd, int id, int64_t deadline_ns, struct tt_pmi1 *pmi)
{
	return open_link(fd, &id, deadline_ns, pmi);
}

tutti_status
tt_pmi1_put(struct tt_pmi1 *pmi, const char *key, const char *value, int64_t deadline_ns)
{
	char answer[TT_PMI1_LINE];

	if (strlen(key) >= (size_t)pmi->most_key || strlen(value) >= (size_t)pmi->most_value)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
		    "the launcher's PMI server takes keys below %d and values below %d characters, %zu and %zu are "
		    "needed: "
		    "set TUTTI_ROOT to do without it",
		    pmi->most_key, pmi->most_value, strlen(key), strlen(value));
	TT_TRY(request(pmi, "put", "put_result", answer, deadline_ns, "cmd=put kvsname=%s key=%s value=%s",
	    pmi->space, key, value));
	return check_result("put", answer);
}

tutti_status
tt_pmi1_barrier(struct tt_pmi1 *pmi, int64_t deadline_ns)
{
	char answer[TT_PMI1_LINE];

	return request(pmi, "barrier_in", "barrier_out", answer, deadline_ns, "cmd=barrier_in");
}

tutti_status
tt_pmi1_get(struct tt_pmi1 *pmi, const char *key, char *value, size_t bytes, int64_t deadline_ns)
{
	char answer[TT_PMI1_LINE];

	TT_TRY(request(pmi, "get", "get_result", answer, deadline_ns, "cmd=get kvsname=%s key=%s", pmi->space, key));
	TT_TRY(check_result("get", answer));
	return find_word(answer, "value", value, bytes) ? TUTTI_OK : senseless("get", answer);
}

void
tt_pmi1_finalize(struct tt_pmi1 *pmi, int64_t deadline_ns)
{
	char answer[TT_PMI1_LINE];

	/* The answer only tells that the launcher has heard it before the connection ends. */
	if (!pmi->broken)
		(void)request(pmi, "finalize", "finalize_ack", answer, deadline_ns, "cmd=finalize");
	tt_pmi1_close(pmi);
}

void
tt_pmi1_close(struct tt_pmi1 *pmi)
{
	tt_fd_close(pmi->fd);
	memset(pmi, 0, sizeof(*pmi));
	pmi->fd = -1;
	pmi->broken = true;
}
