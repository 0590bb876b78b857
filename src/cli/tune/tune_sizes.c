/* SPDX-License-Identifier: Apache-2.0
 *
 * tune_sizes.c - up to where one meeting of the node's ranks is enough, found out by trial.
 *
 * There is a communicator for each way, made of a profile that only this process sees. Their batches follow each other by
 * turns, so that what the machine does to one it does to both; the least of each counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/tune/tune.h"
#include "profile/profile.h"

#define LEAST ((size_t)4 << 10)
#define MOST ((size_t)64 << 10)
#define TRIALS 2
#define BATCHES 12
#define BATCH_NS 20e6 /* about */
#define MOST_ROUNDS 2000
#define BETTER 0.97 /* two meetings are, if they take less of the time of one than this */

#define TRY(call) \
	do { \
		const tutti_status status_ = (call); \
		if (status_ != TUTTI_OK) \
			return status_; \
	} while (0)

struct trial {
	double value, seconds; /* seconds: on rank 0 */
	tutti_comm *all, *two; /* two: the ranks that measure; NULL for the others */
};

struct trials {
	tutti_comm *all;
	int partner;
	struct tt_constants *constants; /* rank 0's count */
	struct trial trial[TRIALS];
	int n;
	unsigned char *send, *recv; /* MOST each */
};

/* ---- communicators that believe in a value -------------------------------------------------------------------------- */

/* A file that only this process can read; -1 = there is none, and what is made then knows what is assumed. */
static int
write_profile(const struct tt_constants *constants)
{
	struct tt_profile profile;
	char text[TT_PROFILE_TEXT], path[64];
	size_t bytes;
	int fd;

	tt_profile_init(&profile);
	profile.constants = *constants;
	bytes = tt_profile_print(&profile, text, sizeof(text));
	fd = memfd_create("tutti-tune", MFD_CLOEXEC);
	if (fd >= 0 && (bytes >= sizeof(text) || write(fd, text, bytes) != (ssize_t)bytes)) {
		close(fd);
		fd = -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	setenv("TUTTI_PROFILE", fd >= 0 ? path : "assumed", 1);
	return fd;
}

static tutti_status
open_trial(const struct trials *t, struct trial *trial, double value)
{
	const int rank = tutti_comm_rank(t->all);
	tutti_config config = TUTTI_CONFIG_INIT;
	struct tt_constants constants = *t->constants;
	tutti_status status;
	int fd;

	TRY(tutti_broadcast(t->all, &constants, &constants, sizeof(constants), TUTTI_UINT8, 0, NULL, NULL));
	tt_constants_set(&constants, TT_CONSTANT_ONE_MEETING, value, TT_CONSTANT_TUNED);
	fd = write_profile(&constants);
	status = tutti_comm_create_from_env(NULL, &trial->all);
	if (fd >= 0)
		close(fd);
	setenv("TUTTI_PROFILE", "assumed", 1);
	if (status != TUTTI_OK)
		return status;
	trial->value = value;
	config.transports = "shm";
	return tutti_comm_split(trial->all, rank == 0 || rank == t->partner ? 0 : -1, 0, &config, &trial->two);
}

static void
close_trials(struct trials *t)
{
	for (int i = 0; i < t->n; i++) {
		tutti_comm_destroy(t->trial[i].two);
		tutti_comm_destroy(t->trial[i].all);
	}
	t->n = 0;
}

static tutti_status
open_trials(struct trials *t, const double *values, int n)
{
	memset(t->trial, 0, sizeof(t->trial));
	for (t->n = 0; t->n < n;) {
		struct trial *trial = &t->trial[t->n++];

		TRY(open_trial(t, trial, values[t->n - 1]));
	}
	return TUTTI_OK;
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static tutti_status
batch(const struct trials *t, tutti_comm *two, size_t bytes, int rounds, double *seconds)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = "node"};
	int64_t start;

	TRY(tutti_barrier(two, NULL, NULL));
	start = tt_now_ns();
	for (int i = 0; i < rounds; i++)
		TRY(tutti_all_reduce(two, t->send, t->recv, bytes / 4, TUTTI_FLOAT32, TUTTI_SUM, &options, NULL));
	*seconds = (double)(tt_now_ns() - start) / 1e9 / rounds;
	return TUTTI_OK;
}

static tutti_status
measure(struct trials *t, size_t bytes)
{
	double one = 1;
	int32_t rounds;

	for (int i = 0; i < t->n; i++)
		TRY(batch(t, t->trial[i].two, bytes, 3, &one));
	rounds = (int32_t)(BATCH_NS / 1e9 / one < MOST_ROUNDS ? BATCH_NS / 1e9 / one : MOST_ROUNDS);
	rounds = rounds < 2 ? 2 : rounds;
	TRY(tutti_broadcast(t->trial[0].two, &rounds, &rounds, 1, TUTTI_INT32, 0, NULL, NULL));
	for (int b = 0; b < BATCHES; b++)
		for (int i = 0; i < t->n; i++) {
			struct trial *trial = &t->trial[i];

			TRY(batch(t, trial->two, bytes, rounds, &one));
			trial->seconds = b == 0 || one < trial->seconds ? one : trial->seconds;
		}
	return TUTTI_OK;
}

/* Up to how many bytes is one meeting, in which everybody adds all, not slower than two, in which each adds a slice? */
static tutti_status
try_meetings(struct trials *t)
{
	static const double ways[TRIALS] = {1e9, 64}; /* one meeting as long as there is room, and never */
	size_t most = LEAST / 2;
	tutti_status status = open_trials(t, ways, TRIALS);

	for (size_t bytes = LEAST; bytes <= MOST && status == TUTTI_OK && t->trial[0].two != NULL; bytes *= 2) {
		status = measure(t, bytes);
		if (t->trial[1].seconds >= BETTER * t->trial[0].seconds && most == bytes / 2)
			most = bytes;
	}
	close_trials(t);
	if (status == TUTTI_OK && tutti_comm_rank(t->all) == 0)
		tt_constants_set(t->constants, TT_CONSTANT_ONE_MEETING, 2 * (double)most, TT_CONSTANT_TUNED);
	return status;
}

tutti_status
tt_tune_sizes(tutti_comm *all, int partner, struct tt_constants *constants, void (*step)(void))
{
	struct trials t = {.all = all, .partner = partner, .constants = constants};
	tutti_status status = TUTTI_ERR_NOMEM;

	t.send = calloc(2, MOST);
	t.recv = t.send != NULL ? t.send + MOST : NULL;
	if (t.send != NULL) {
		memset(t.send, 0, 2 * MOST); /* pages that are there */
		status = try_meetings(&t);
	}
	free(t.send);
	step();
	return status;
}
