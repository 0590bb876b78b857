/* SPDX-License-Identifier: Apache-2.0
 *
 * cut.c - one of two connections between two hosts is cut so that nobody tells (hosts.sh -q): that ends the operation with
 * an error that names the connection, long before the operation's own time limit. A peer that only computes, for
 * longer than a silence may last, ends nothing.
 *
 *     cut FILE      on two hosts with two cards and one rank each; FILE is made when card 1 shall be cut
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/tutti.h>

#define COUNT ((size_t)2 << 20) /* elements */
#define BUSY_S 13 /* more than the 10 s after which silence is a loss */
#define TRIES 2000
#define MOVED 4e6 /* bytes by card 1: it is in use */
#define HANG_S 100

static int32_t *in, *out;
static tutti_comm *comm;

static int
complain(const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	fprintf(stderr, "cut: rank %d: %s (the last error is: %s)\n", tutti_comm_rank(comm), what, error.message);
	return 1;
}

static tutti_status
add_up(int round)
{
	tutti_status status;

	for (size_t i = 0; i < COUNT; i++)
		in[i] = (int32_t)(i % 1000) + round + tutti_comm_rank(comm);
	status = tutti_all_reduce(comm, in, out, COUNT, TUTTI_INT32, TUTTI_SUM, NULL, NULL);
	for (size_t i = 0; i < COUNT && status == TUTTI_OK; i++)
		if (out[i] != 2 * ((int32_t)(i % 1000) + round) + 1)
			return TUTTI_ERR_INTERNAL;
	return status;
}

/* -1: not to be known here. */
static double
sent_by_card_1(void)
{
	FILE *file = fopen("/sys/class/net/eth1/statistics/tx_bytes", "r");
	double bytes = -1;

	if (file != NULL && fscanf(file, "%lf", &bytes) != 1)
		bytes = -1;
	if (file != NULL)
		fclose(file);
	return bytes;
}

/* 0, or the status to exit with. */
static int
warm_up(void)
{
	int32_t mine = 0, all = 0;

	for (int round = 0; round < TRIES && all == 0; round++) {
		const double sent = sent_by_card_1();

		if (add_up(round) != TUTTI_OK)
			return complain("it goes wrong on a network that is whole");
		mine = sent < 0 || sent > MOVED;
		if (tutti_all_reduce(comm, &mine, &all, 1, TUTTI_INT32, TUTTI_MIN, NULL, NULL) != TUTTI_OK)
			return complain("it goes wrong on a network that is whole");
	}
	return all != 0 ? 0 : complain("card 1 is not used");
}

static bool
is_right(tutti_status status)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	printf("cut: rank %d: %s\n", tutti_comm_rank(comm), error.message);
	return status == TUTTI_ERR_PEER && strstr(error.message, "is cut") != NULL &&
	       strstr(error.message, "10.213.1.") != NULL && strstr(error.message, "TUTTI_INTERFACES") != NULL;
}

static int
play(const char *path)
{
	tutti_status status = TUTTI_OK;
	int bad = warm_up();

	if (bad != 0)
		return bad;
	if (tutti_comm_rank(comm) == 1)
		sleep(BUSY_S);
	if (add_up(1) != TUTTI_OK || tutti_barrier(comm, NULL, NULL) != TUTTI_OK)
		return complain("a rank that was busy was taken for one that is gone");
	if (tutti_comm_rank(comm) == 0)
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (int round = 0; status == TUTTI_OK; round++)
		status = add_up(round);
	return is_right(status) ? 0 : complain("a cut connection was not found, or not named");
}

int
main(int argc, char **argv)
{
	int status;

	if (argc != 2)
		return 2;
	alarm(HANG_S);
	in = calloc(COUNT, sizeof(*in));
	out = calloc(COUNT, sizeof(*out));
	if (in == NULL || out == NULL)
		return 2;
	if (tutti_comm_create_from_env(NULL, &comm) != TUTTI_OK)
		return complain("creation failed");
	status = play(argv[1]);
	(void)tutti_comm_destroy(comm);
	free(in);
	free(out);
	return status;
}
