/* SPDX-License-Identifier: Apache-2.0
 *
 * pmi1_exchange.h - rank 0's id through the launcher's PMI-1 server.
 */
#ifndef TT_BOOTSTRAP_PMI1_EXCHANGE_H
#define TT_BOOTSTRAP_PMI1_EXCHANGE_H

#include "bootstrap/identity.h"

struct tt_pmi1_call {
	const struct tt_identity *identity;
	unsigned number; /* of the communicator */
};

/* A tt_id_exchange; `context` is a struct tt_pmi1_call. The first call opens the process's one connection, which
 * then stays: the launcher takes a process that leaves without a goodbye for a crash, and says it at its exit. */
tutti_status tt_pmi1_exchange(void *context, int rank, tutti_unique_id *id, int64_t deadline_ns);

#endif /* TT_BOOTSTRAP_PMI1_EXCHANGE_H */
