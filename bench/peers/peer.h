/* SPDX-License-Identifier: Apache-2.0
 *
 * peer.h - one library as the comparison sees it. Each contestant is this measurement linked with one of these.
 */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>

/* Buffers hold float32; `count` is what the collective's own call takes; the root is rank 0. */
struct peer {
	const char *name;
	int (*open)(int *rank, int *size); /* 0 = fine, as all of them */
	void (*close)(void);
	int (*barrier)(void);
	int (*all_reduce)(const float *send, float *recv, size_t count);
	int (*reduce_scatter)(const float *send, float *recv, size_t recv_count);
	int (*all_gather)(const float *send, float *recv, size_t send_count);
	int (*broadcast)(float *buffer, size_t count);
	int (*reduce)(const float *send, float *recv, size_t count);
	int (*scatter)(const float *send, float *recv, size_t recv_count);
	int (*gather)(const float *send, float *recv, size_t send_count);
	int (*all_to_all)(const float *send, float *recv, size_t count_per_peer);
	/* n doubles of every rank to rank 0, for the statistics */
	int (*collect)(const double *mine, double *all, size_t n);
};

extern const struct peer peer;

#endif /* PEER_H */
