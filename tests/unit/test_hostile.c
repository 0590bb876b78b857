/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile.c - whatever the environment, a launcher or an id's carrier may say, the readers stay inside their
 * memory and keep their promises.
 *
 * Random bytes and mutations of good texts, from fixed seeds; most of what it finds only a sanitizer shows.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "bootstrap/hostlist.h"
#include "bootstrap/identity.h"
#include "bootstrap/pmi1.h"

#define ROUNDS 20000
#define MOST_TEXT 300

static uint64_t state;

/* xorshift64*. */
static uint32_t
draw(uint32_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % n;
}

static const char *
one_of(const char *const *texts, size_t n)
{
	return texts[draw((uint32_t)n)];
}

/* A good text with some bytes changed, dropped or doubled; sometimes nothing but noise. Always terminated, and the
 * terminator is the last byte of its allocation, so that a sanitizer sees every step beyond it. */
static char *
mutate(const char *good, const char *alphabet)
{
	char text[MOST_TEXT + 1];
	size_t n = strlen(good);
	char *copy;

	if (draw(8) == 0) {
		n = draw(MOST_TEXT);
		for (size_t i = 0; i < n; i++)
			text[i] = draw(2) ? (char)(1 + draw(255)) : alphabet[draw((uint32_t)strlen(alphabet))];
	} else {
		memcpy(text, good, n);
		for (uint32_t changes = draw(5); changes > 0 && n > 0; changes--) {
			const size_t at = draw((uint32_t)n);
			const char c = alphabet[draw((uint32_t)strlen(alphabet))];

			switch (draw(4)) {
			case 0:
				text[at] = c;
				break;
			case 1:
				memmove(text + at, text + at + 1, n - at - 1);
				n--;
				break;
			case 2:
				if (2 * n < MOST_TEXT) {
					memmove(text + n, text, n);
					n *= 2;
				}
				break;
			default:
				n = at;
			}
		}
	}
	copy = malloc(n + 1);
	memcpy(copy, text, n);
	copy[n] = '\0';
	return copy;
}

Test(hostile, host_lists)
{
	static const char *const good[] = {"n[1-3,07],rack[1-2]n[01-16],m2", "node[001-128]", "a,b,c[9-10].x", "[1]"};

	state = 1;
	for (int round = 0; round < ROUNDS; round++) {
		char *text = mutate(one_of(good, TT_COUNT_OF(good)), "[]-,0123456789anx.");
		const size_t bytes = draw(40);
		char *host = malloc(bytes > 0 ? bytes : 1);
		int count = -7;

		if (tt_hostlist_first(text, host, bytes, &count) == TUTTI_OK) {
			cr_assert(count >= 1 && strlen(host) >= 1 && strlen(host) < bytes, "\"%s\"", text);
			cr_assert(strpbrk(host, "[], \n;/") == NULL, "\"%s\" gave \"%s\"", text, host);
		} else {
			cr_assert(count == -7 && tt_last_error()->message[0] != '\0', "\"%s\"", text);
		}
		free(host);
		free(text);
	}
}

Test(hostile, task_counts)
{
	static const char *const good[] = {"2(x3),1", "1(x999999999),2(x999999999)", "4"};

	state = 2;
	for (int round = 0; round < ROUNDS; round++) {
		char *text = mutate(one_of(good, TT_COUNT_OF(good)), "(x),0123456789");

		cr_assert(ge(int, tt_tasks_of_node(text, (int)draw(2000) - 10), -1), "\"%s\"", text);
		free(text);
	}
}

struct environment {
	const char *names[64];
	char *values[64];
	int n;
};

static const char *
from_table(void *context, const char *name)
{
	const struct environment *env = context;

	for (int i = 0; i < env->n; i++)
		if (strcmp(env->names[i], name) == 0)
			return env->values[i];
	return NULL;
}

Test(hostile, environments)
{
	static const char *const pairs[][2] = {{"TUTTI_RANK", "0"}, {"TUTTI_SIZE", "2"},
	    {"TUTTI_ROOT", "[fd00::1]:4711"}, {"TUTTI_JOB", "job"}, {"TUTTI_LOCAL_RANK", "0"},
	    {"TUTTI_LOCAL_SIZE", "2"}, {"TUTTI_SECRET_FD", "5"}, {"RANK", "1"}, {"WORLD_SIZE", "2"},
	    {"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}, {"MASTER_ADDR", "n1"}, {"MASTER_PORT", "29500"},
	    {"TORCHELASTIC_RUN_ID", "none"}, {"TORCHELASTIC_RESTART_COUNT", "0"}, {"OMPI_COMM_WORLD_RANK", "1"},
	    {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
	    {"PMIX_NAMESPACE", "x.1"}, {"PMIX_RANK", "1"}, {"PMIX_SERVER_URI2", "x"}, {"PMI_RANK", "2"},
	    {"PMI_SIZE", "3"}, {"PMI_FD", "9"}, {"PMI_PORT", "head:5555"}, {"PMI_ID", "2"}, {"SLURM_STEP_ID", "0"},
	    {"SLURM_JOB_ID", "77"}, {"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "6"},
	    {"SLURM_STEP_NODELIST", "n[2-3,7]"}, {"SLURM_STEP_TASKS_PER_NODE", "2(x3)"}, {"SLURM_NODEID", "2"},
	    {"JOB_COMPLETION_INDEX", "1"}, {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"PET_NPROC_PER_NODE", "1"}};
	int accepted = 0;

	state = 3;
	for (int round = 0; round < ROUNDS; round++) {
		const uint32_t dropped = draw(4);
		struct environment env = {.n = 0};
		struct tt_identity id;

		for (size_t i = 0; i < TT_COUNT_OF(pairs); i++) {
			if (dropped > 0 && draw(4) < dropped)
				continue;
			env.names[env.n] = pairs[i][0];
			env.values[env.n++] =
			    draw(12) != 0 ? strdup(pairs[i][1]) : mutate(pairs[i][1], "0123456789-:[]x. ");
		}
		if (tt_identity_read(from_table, &env, &id) == TUTTI_OK) {
			accepted++;
			cr_assert(id.rank >= 0 && id.size >= 0 && id.size <= 1 << 20);
			cr_assert(id.size == 0 ? id.launcher == TT_LAUNCHER_PMIX : id.rank < id.size);
			cr_assert(id.root_port >= 0 && id.root_port <= 65535);
			cr_assert(memchr(id.job, '\0', sizeof(id.job)) && memchr(id.seen, '\0', sizeof(id.seen)) &&
				  memchr(id.root_host, '\0', sizeof(id.root_host)) &&
				  memchr(id.warning, '\0', sizeof(id.warning)));
		}
		for (int i = 0; i < env.n; i++)
			free(env.values[i]);
	}
	/* Else the test would look at refusals only. */
	cr_assert(gt(int, accepted, ROUNDS / 20));
}

Test(hostile, launchers)
{
	static const char *const good[] = {"cmd=response_to_init rc=0\ncmd=maxes keylen_max=64 vallen_max=1024\n"
					   "cmd=my_kvsname kvsname=kvs_4711_0\ncmd=get_result rc=0 value=abc\n"};

	state = 5;
	for (int round = 0; round < ROUNDS / 4; round++) {
		char *text = mutate(good[0], "cmd=rc \n0123456789x");
		char value[8];
		struct tt_pmi1 pmi;
		int pair[2];

		cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0));
		tt_fd_guard(pair[0]);
		cr_assert(ge(int, (int)send(pair[1], text, strlen(text), MSG_NOSIGNAL), 0));
		shutdown(pair[1], SHUT_WR);
		if (tt_pmi1_open(pair[0], tt_deadline_ns(10000), &pmi) == TUTTI_OK) {
			if (tt_pmi1_get(&pmi, "key", value, sizeof(value), tt_deadline_ns(10000)) == TUTTI_OK)
				cr_assert(lt(sz, strlen(value), sizeof(value)));
			tt_pmi1_close(&pmi);
		}
		cr_assert(tt_last_error()->status != TUTTI_ERR_TIMEOUT, "waited for a launcher that has gone");
		close(pair[1]);
		free(text);
	}
}

Test(hostile, unique_ids)
{
	struct tt_rendezvous made = {.naddresses = 3, .ports = 16, .port_step = 7, .authenticated = true}, read;
	tutti_unique_id good, id;

	state = 4;
	for (int i = 0; i < 3; i++)
		made.addresses[i] = (struct tt_address){.family = 4, .port = 4711, .ip = {10, 0, 0, (uint8_t)i}};
	tt_unique_id_write(&made, &good);
	cr_assert(eq(int, tt_unique_id_read(&good, &read), TUTTI_OK));
	for (int round = 0; round < ROUNDS; round++) {
		const uint32_t changes = draw(6);

		id = good;
		for (uint32_t i = 0; i < changes; i++)
			id.bytes[draw(sizeof(id.bytes))] = (char)draw(256);
		if (draw(8) == 0)
			for (size_t i = 0; i < sizeof(id.bytes); i++)
				id.bytes[i] = (char)draw(256);
		if (tt_unique_id_read(&id, &read) != TUTTI_OK)
			continue;
		cr_assert(read.naddresses >= 0 && read.naddresses <= TT_MEETING_ADDRESSES);
		cr_assert(memcmp(&id, &good, sizeof(id)) == 0, "a damaged id was accepted");
	}
}
