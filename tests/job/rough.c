/* SPDX-License-Identifier: Apache-2.0
 *
 * rough.c - a rank on a rough network: results are exact, or there is an error that names a rank; never a hang.
 *
 *     rough [-e] [-n ROUNDS]     under a launcher, behind proxy; -e: an error is allowed
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tutti/tutti.h>

#define MOST ((size_t)1 << 20) /* elements */
#define HANG_S 60

static float *out, *in;

static void
hang(int number)
{
	static const char text[] = "rough: a rank hangs\n";

	(void)number;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(3);
}

/* Returns the exit status. */
static int
failed(const char *what, bool allowed, bool named)
{
	tutti_error error = TUTTI_ERROR_INIT;

	(void)tutti_last_error(&error);
	printf("rough: %s: %s\n", what, error.message);
	if (!allowed || error.message[0] == '\0' || (named && strstr(error.message, "rank") == NULL)) {
		fprintf(stderr, "rough: %s: this must not have failed so: %s\n", what, error.message);
		return 1;
	}
	return 0;
}

static bool
is_exact(int round, size_t n, int size)
{
	for (size_t i = 0; i < n; i++) {
		const float each = (float)((i + (size_t)round) % 1000);

		/* Small integers: sums are exact in any order. */
		if (in[i] != (float)size * each + (float)(size * (size - 1) / 2)) /* NOLINT */
			return false;
	}
	return true;
}

/* TUTTI_ERR_INTERNAL stands for a wrong result. */
static tutti_status
one_round(tutti_comm *comm, int round, int rank, int size)
{
	static const size_t counts[] = {2, 500, 5000, 40000, 200000, MOST, 3, 70001};
	const size_t n = counts[(size_t)round % (sizeof(counts) / sizeof(counts[0]))];
	const int next = (rank + 1) % size, last = (rank + size - 1) % size;
	tutti_request *request = NULL;
	tutti_status status;

	for (size_t i = 0; i < n; i++)
		out[i] = (float)((i + (size_t)round) % 1000) + (float)rank;
	status = tutti_all_reduce(comm, out, in, n, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL);
	if (status != TUTTI_OK)
		return status;
	if (!is_exact(round, n, size))
		return TUTTI_ERR_INTERNAL;
	status = tutti_send(comm, out, n, TUTTI_FLOAT32, next, 5, NULL, &request);
	if (status == TUTTI_OK)
		status = tutti_recv(comm, in, n, TUTTI_FLOAT32, last, 5, NULL, NULL, NULL);
	if (status == TUTTI_OK)
		status = tutti_wait(&request);
	for (size_t i = 0; i < n && status == TUTTI_OK; i++)
		if (in[i] != out[i] + (float)(last - rank))
			return TUTTI_ERR_INTERNAL;
	return status;
}

int
main(int argc, char **argv)
{
	bool allowed = false;
	int rounds = 16, option, rank, size;
	tutti_comm *comm;

	while ((option = getopt(argc, argv, "en:")) != -1) {
		if (option == 'e')
			allowed = true;
		else if (option == 'n')
			rounds = atoi(optarg);
		else
			return 2;
	}
	signal(SIGALRM, hang);
	alarm(HANG_S);
	out = calloc(MOST, sizeof(float));
	in = calloc(MOST, sizeof(float));
	if (out == NULL || in == NULL)
		return 2;
	if (tutti_comm_create_from_env(NULL, &comm) != TUTTI_OK)
		return failed("creation", allowed, false);
	rank = tutti_comm_rank(comm);
	size = tutti_comm_size(comm);
	for (int round = 0; round < rounds; round++) {
		const tutti_status status = one_round(comm, round, rank, size);

		if (status == TUTTI_ERR_INTERNAL) {
			fprintf(stderr, "rough: rank %d, round %d: a wrong result\n", rank, round);
			return 1;
		}
		if (status != TUTTI_OK) {
			/* Buffers of pending operations live as long as the process. */
			option = failed("an operation", allowed, true);
			(void)tutti_comm_abort(comm);
			(void)tutti_comm_destroy(comm);
			return option;
		}
	}
	(void)tutti_comm_destroy(comm);
	free(out);
	free(in);
	return 0;
}
