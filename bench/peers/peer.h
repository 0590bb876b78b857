/* SPDX-License-Identifier: Apache-2.0
 *
 * peer.h - one library as the comparison sees it. Each contestant is this measurement linked with one of these.
 */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>

struct stage;

/* Buffers hold float32; `count` is what the collective's own call takes; the root is rank 0. */
struct peer {
	const char *name;
	int (*open)(int *rank, int *size); /* 0 = fine, as all of them */
	int (*ready)(struct stage *stage); /* what needs all ranks to hear of something; may be NULL */
	void (*close)(void);
	int (*barrier)(void);
	/* Collectives that the library has not are NULL. */
	int (*all_reduce)(const float *send, float *recv, size_t count);
	int (*reduce_scatter)(const float *send, float *recv, size_t recv_count);
	int (*all_gather)(const float *send, float *recv, size_t send_count);
	int (*broadcast)(float *buffer, size_t count);
	int (*reduce)(const float *send, float *recv, size_t count);
	int (*scatter)(const float *send, float *recv, size_t recv_count);
	int (*gather)(const float *send, float *recv, size_t send_count);
	int (*all_to_all)(const float *send, float *recv, size_t count_per_peer);
};

#ifdef __cplusplus
extern "C"
#else
extern
#endif
    const struct peer peer;

#endif /* PEER_H */
