/* SPDX-License-Identifier: Apache-2.0
 *
 * identity.h - who am I, according to the launcher, and how do the ranks find each other.
 *
 * Takes the first complete set of variables: tutti run, torchrun, Open MPI, PMIx, PMI-1 (MPICH, Hydra, Intel MPI,
 * Slurm's pmi2), a Slurm step, Kubernetes index, bare RANK/WORLD_SIZE. The innermost launcher wins. Strict integers.
 */
#ifndef TT_BOOTSTRAP_IDENTITY_H
#define TT_BOOTSTRAP_IDENTITY_H

#include "base/log.h"
#include "bootstrap/rendezvous.h"

enum tt_launcher {
	TT_LAUNCHER_NONE,
	TT_LAUNCHER_TUTTI,
	TT_LAUNCHER_TORCHRUN,
	TT_LAUNCHER_OPENMPI,
	TT_LAUNCHER_PMIX,
	TT_LAUNCHER_PMI,
	TT_LAUNCHER_SLURM,
	TT_LAUNCHER_KUBERNETES,
	TT_LAUNCHER_PLAIN /* RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT */
};

struct tt_identity {
	enum tt_launcher launcher;
	int rank, size; /* size 0: only the PMIx server knows it (never after tt_identity_from_env) */
	int local_rank, local_size; /* -1: unknown */
	char job[128]; /* names the job and its incarnation (restart count ...) */
	char root_host[256]; /* where rank 0 is: a name or an address, the same text on all ranks; "" = not told */
	int root_port; /* 0 = not told */
	bool root_given; /* by TUTTI_ROOT: rank 0 listens at that port. Else root_port is another's: near it */
	bool one_machine; /* the launcher says that all ranks are on this host */
	int secret_fd; /* a descriptor that holds the job's secret, -1 = none */
	bool pmix; /* there is a PMIx server to ask */
	int pmi_fd; /* the connection to a PMI-1 server, -1 = none ... */
	char pmi_port[256]; /* ... or where it listens, "" = none, and what to call oneself there */
	int pmi_id;
	char seen[256]; /* all complete sets of variables that were seen, for the log */
	char warning[256]; /* something that a person should look at, "" = nothing */
};

const char *tt_launcher_name(enum tt_launcher launcher);
/* `get` is getenv, or a test's table. ERR_ARGUMENT names the variable that is wrong. */
tutti_status tt_identity_read(
    const char *(*get)(void *context, const char *name), void *context, struct tt_identity *identity);
/* The same from the process's environment, and from the PMIx server what only that knows. */
tutti_status tt_identity_from_env(struct tt_identity *identity);

/* Turns an identity into a rendezvous for the `call`-th communicator made from the environment by this rank
 * (0, 1, ...): over PMI-1 or PMIx where there is one (rank 0 publishes a unique id), else by derivation from
 * the job's name, the root's address and the secret (TUTTI_SECRET_FD given by tutti run, TUTTI_SECRET_FILE).
 * Rank 0 gets its meeting opened. Ends at the deadline. */
tutti_status tt_identity_meet(const struct tt_identity *identity, const struct tt_settings *settings,
    const struct tt_log *log, unsigned call, int64_t deadline_ns, struct tt_rendezvous *rendezvous,
    struct tt_meeting *meeting);
/* The same over the caller's store: rank 0 sets the key "tutti/id". */
tutti_status tt_store_meet(int rank, const tutti_store *store, const struct tt_settings *settings,
    int64_t deadline_ns, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting);

/* The number of communicators made from the environment by this process so far, counted up (process-wide by
 * nature: several calls are matched by their order). */
unsigned tt_identity_next_call(void);

/* ---- inside the bootstrap ------------------------------------------------------------------------------- */

/* Carries rank 0's id to all ranks: in on rank 0, out on the others. Every rank calls it. */
typedef tutti_status tt_id_exchange(void *context, int rank, tutti_unique_id *id, int64_t deadline_ns);
/* Opens rank 0's meeting and tells the others about it by `exchange`. */
tutti_status tt_exchange_meet(int rank, tt_id_exchange *exchange, void *context, const struct tt_settings *settings,
    int64_t deadline_ns, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting);
/* A rendezvous that every rank works out for itself. */
tutti_status tt_derived_meet(const struct tt_identity *identity, const struct tt_settings *settings,
    const struct tt_log *log, unsigned call, int64_t deadline_ns, struct tt_rendezvous *rendezvous,
    struct tt_meeting *meeting);
/* A 32-byte digest of the job's secret; *found = false and zeros if none was given. ERR_AUTH: others could read it,
 * it is too short, or the descriptor is gone. */
tutti_status tt_secret_read(int secret_fd, const char *secret_file, unsigned char digest[TT_KEY_BYTES], bool *found);

#endif /* TT_BOOTSTRAP_IDENTITY_H */
