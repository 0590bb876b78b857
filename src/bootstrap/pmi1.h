/* SPDX-License-Identifier: Apache-2.0
 *
 * pmi1.h - a client of the PMI-1 wire protocol: lines of text over a socket that the launcher gave us.
 *
 * Spoken by MPICH's and Intel MPI's Hydra and by Slurm's pmi2 plug-in. A connection is used by one thread at a
 * time. An MPI library in the same process may use the same socket before or after, never at the same time; the
 * socket's flags are left as they are.
 */
#ifndef TT_BOOTSTRAP_PMI1_H
#define TT_BOOTSTRAP_PMI1_H

#include <stdbool.h>
#include <stddef.h>
#include <tutti/tutti.h>

#define TT_PMI1_LINE 2048

struct tt_pmi1 {
	int fd; /* owned */
	bool broken; /* an answer is still owed or made no sense: nothing more can be asked */
	char space[256]; /* the job's key-value space */
	int most_key, most_value; /* longest of each, with their final zeros */
	char in[TT_PMI1_LINE];
	size_t in_bytes;
};

/* Takes `fd` over, also when it fails, and says hello. ERR_UNSUPPORTED: whoever is there does not speak PMI-1;
 * ERR_PEER: the launcher closed the connection; ERR_TIMEOUT. These three from all of them. */
tutti_status tt_pmi1_open(int fd, int64_t deadline_ns, struct tt_pmi1 *pmi);
/* The same over a connection that needs to say first who it is (PMI_PORT, PMI_ID). */
tutti_status tt_pmi1_open_as(int fd, int id, int64_t deadline_ns, struct tt_pmi1 *pmi);
/* Keys and values are text without spaces. Others see a value after the next barrier. */
tutti_status tt_pmi1_put(struct tt_pmi1 *pmi, const char *key, const char *value, int64_t deadline_ns);
/* Waits until all ranks of the job have called it. */
tutti_status tt_pmi1_barrier(struct tt_pmi1 *pmi, int64_t deadline_ns);
tutti_status tt_pmi1_get(struct tt_pmi1 *pmi, const char *key, char *value, size_t bytes, int64_t deadline_ns);
/* Says goodbye, or the launcher takes the end of this process for a crash. */
void tt_pmi1_finalize(struct tt_pmi1 *pmi, int64_t deadline_ns);
/* Closes without a word. */
void tt_pmi1_close(struct tt_pmi1 *pmi);

#endif /* TT_BOOTSTRAP_PMI1_H */
