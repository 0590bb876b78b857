/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_mpi.c - an MPI library in the comparison: compiled once with each library's own mpicc.
 */
#include <mpi.h>

#include "peer.h"

static int
open_peer(int *rank, int *size)
{
	if (MPI_Init(NULL, NULL) != MPI_SUCCESS)
		return -1;
	MPI_Comm_rank(MPI_COMM_WORLD, rank);
	MPI_Comm_size(MPI_COMM_WORLD, size);
	return 0;
}

static void
close_peer(void)
{
	MPI_Finalize();
}

static int
barrier(void)
{
	return MPI_Barrier(MPI_COMM_WORLD);
}

static int
all_reduce(const float *send, float *recv, size_t count)
{
	return MPI_Allreduce(send, recv, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static int
reduce_scatter(const float *send, float *recv, size_t count)
{
	return MPI_Reduce_scatter_block(send, recv, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static int
all_gather(const float *send, float *recv, size_t count)
{
	return MPI_Allgather(send, (int)count, MPI_FLOAT, recv, (int)count, MPI_FLOAT, MPI_COMM_WORLD);
}

static int
broadcast(float *buffer, size_t count)
{
	return MPI_Bcast(buffer, (int)count, MPI_FLOAT, 0, MPI_COMM_WORLD);
}

static int
reduce(const float *send, float *recv, size_t count)
{
	return MPI_Reduce(send, recv, (int)count, MPI_FLOAT, MPI_SUM, 0, MPI_COMM_WORLD);
}

static int
scatter(const float *send, float *recv, size_t count)
{
	return MPI_Scatter(send, (int)count, MPI_FLOAT, recv, (int)count, MPI_FLOAT, 0, MPI_COMM_WORLD);
}

static int
gather(const float *send, float *recv, size_t count)
{
	return MPI_Gather(send, (int)count, MPI_FLOAT, recv, (int)count, MPI_FLOAT, 0, MPI_COMM_WORLD);
}

static int
all_to_all(const float *send, float *recv, size_t count)
{
	return MPI_Alltoall(send, (int)count, MPI_FLOAT, recv, (int)count, MPI_FLOAT, MPI_COMM_WORLD);
}

const struct peer peer = {"MPI", open_peer, NULL, close_peer, barrier, all_reduce, reduce_scatter, all_gather,
    broadcast, reduce, scatter, gather, all_to_all};
