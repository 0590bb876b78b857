/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_tutti.c - Tutti in the comparison.
 */
#include <stdio.h>
#include <tutti/tutti.h>

#include "peer.h"

static tutti_comm *comm;

static int
told(tutti_status status)
{
	tutti_error error = TUTTI_ERROR_INIT;

	if (status == TUTTI_OK)
		return 0;
	(void)tutti_last_error(&error);
	fprintf(stderr, "tutti: %s: %s\n", tutti_status_string(status), error.message);
	return -1;
}

static int
open_peer(int *rank, int *size)
{
	if (told(tutti_comm_create_from_env(NULL, &comm)) != 0)
		return -1;
	*rank = tutti_comm_rank(comm);
	*size = tutti_comm_size(comm);
	return 0;
}

static void
close_peer(void)
{
	(void)tutti_comm_destroy(comm);
}

static int
barrier(void)
{
	return told(tutti_barrier(comm, NULL, NULL));
}

static int
all_reduce(const float *send, float *recv, size_t count)
{
	return told(tutti_all_reduce(comm, send, recv, count, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL));
}

static int
reduce_scatter(const float *send, float *recv, size_t count)
{
	return told(tutti_reduce_scatter(comm, send, recv, count, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL));
}

static int
all_gather(const float *send, float *recv, size_t count)
{
	return told(tutti_all_gather(comm, send, recv, count, TUTTI_FLOAT32, NULL, NULL));
}

static int
broadcast(float *buffer, size_t count)
{
	return told(tutti_broadcast(comm, buffer, buffer, count, TUTTI_FLOAT32, 0, NULL, NULL));
}

static int
reduce(const float *send, float *recv, size_t count)
{
	return told(tutti_reduce(comm, send, recv, count, TUTTI_FLOAT32, TUTTI_SUM, 0, NULL, NULL));
}

static int
scatter(const float *send, float *recv, size_t count)
{
	return told(tutti_scatter(comm, send, recv, count, TUTTI_FLOAT32, 0, NULL, NULL));
}

static int
gather(const float *send, float *recv, size_t count)
{
	return told(tutti_gather(comm, send, recv, count, TUTTI_FLOAT32, 0, NULL, NULL));
}

static int
all_to_all(const float *send, float *recv, size_t count)
{
	return told(tutti_all_to_all(comm, send, recv, count, TUTTI_FLOAT32, NULL, NULL));
}

const struct peer peer = {"Tutti", open_peer, NULL, close_peer, barrier, all_reduce, reduce_scatter, all_gather,
    broadcast, reduce, scatter, gather, all_to_all};
