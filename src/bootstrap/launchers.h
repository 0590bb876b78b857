/* SPDX-License-Identifier: Apache-2.0
 *
 * launchers.h - what each launcher puts into the environment, one entry for each.
 */
#ifndef TT_BOOTSTRAP_LAUNCHERS_H
#define TT_BOOTSTRAP_LAUNCHERS_H

#include "bootstrap/env.h"
#include "bootstrap/identity.h"

#define TT_MOST_RANKS (1 << 20)

struct tt_launcher_entry {
	enum tt_launcher launcher;
	const char *name;
	const char *rank, *size, *local_rank, *local_size; /* variables, NULL = it has none */
	/* Are all the variables there that it always sets? */
	bool (*complete)(const struct tt_env *env);
	/* Reads the rest, when rank, size and local_* have been read. */
	tutti_status (*fill)(const struct tt_env *env, struct tt_identity *identity);
};

/* In order of precedence, *n of them. */
const struct tt_launcher_entry *tt_launchers(size_t *n);
/* Is this a task of a step, rather than the shell of a batch job or an interactive one? */
bool tt_slurm_step(const struct tt_env *env);
/* A host's name of `length` bytes as where rank 0 is; `variable` said so. */
tutti_status tt_identity_set_host(
    struct tt_identity *identity, const char *variable, const char *host, size_t length);

#endif /* TT_BOOTSTRAP_LAUNCHERS_H */
