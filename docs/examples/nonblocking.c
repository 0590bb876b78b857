/* SPDX-License-Identifier: Apache-2.0
 *
 * nonblocking.c - computing while the ranks communicate.
 *
 *	tutti run -n 4 nonblocking
 *
 * A vector is reduced in pieces: while piece i is under way, piece i + 1 is computed. A request holds the buffers
 * until it has been waited for; whoever waits drives, and so does the library's thread when progress_thread is on.
 */
#include <stdio.h>
#include <stdlib.h>

#include <tutti/tutti.h>

enum { PIECES = 8, PIECE = 1 << 16 };

static int
failed(const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	tutti_last_error(&error);
	fprintf(stderr, "%s: %s: %s\n", what, tutti_status_string(error.status), error.message);
	return EXIT_FAILURE;
}

static void
compute(double *values, int piece, int rank)
{
	for (int i = 0; i < PIECE; i++)
		values[i] = (double)(rank + 1) * (piece * PIECE + i);
}

int
main(void)
{
	static double values[PIECES][PIECE];
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_request *requests[PIECES] = {NULL};
	tutti_comm *comm;
	double ranks, wrong = 0;

	config.progress_thread = 1;
	config.timeout_ms = 60000;
	if (tutti_comm_create_from_env(&config, &comm) != TUTTI_OK)
		return failed("meeting the other ranks");
	for (int p = 0; p < PIECES; p++) {
		compute(values[p], p, tutti_comm_rank(comm));
		if (tutti_all_reduce(
			comm, values[p], values[p], PIECE, TUTTI_FLOAT64, TUTTI_SUM, NULL, &requests[p]) != TUTTI_OK)
			return failed("starting a piece");
	}
	if (tutti_wait_all(PIECES, requests) != TUTTI_OK)
		return failed("waiting for the pieces");
	/* 1 + 2 + ... + size times the index, on every rank. */
	ranks = 0.5 * tutti_comm_size(comm) * (tutti_comm_size(comm) + 1);
	for (int i = 0; i < PIECES * PIECE; i++)
		wrong += values[i / PIECE][i % PIECE] != ranks * i;
	printf("rank %d: %d values, %g of them wrong\n", tutti_comm_rank(comm), PIECES * PIECE, wrong);
	tutti_comm_destroy(comm);
	return wrong != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
