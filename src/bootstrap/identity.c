/* SPDX-License-Identifier: Apache-2.0
 *
 * identity.c - which launcher started this process, told from its environment.
 *
 * One table in order of precedence, innermost launcher first; the first set whose variables are all there is taken,
 * and everything is then read from that set. A variable that is set to nothing counts as not set. What is left of
 * an incomplete set is ignored, unless it can only be a mistake: running alone where the user asked for a job would
 * be a silent wrong result. Slurm comes late and needs a step, because the shell of a batch job has SLURM_PROCID=0
 * and everything that mpirun starts there inherits it.
 */
#include "bootstrap/identity.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "base/error.h"
#include "bootstrap/hostlist.h"
#include "bootstrap/pmix_client.h"

#define MOST_RANKS (1 << 20)
/* Slurm's numbers for the steps that it makes itself (batch script, interactive shell, ...). */
#define FIRST_SPECIAL_STEP INT64_C(0xfffffff0)

struct environment {
	const char *(*get)(void *context, const char *name);
	void *context;
};

struct launcher {
	enum tt_launcher launcher;
	const char *name, *rank, *size, *local_rank, *local_size;
	bool (*complete)(const struct environment *env);
	tutti_status (*fill)(const struct environment *env, struct tt_identity *identity);
};

static const char *
value(const struct environment *env, const char *name)
{
	const char *text = env->get(env->context, name);

	return text != NULL && *text != '\0' ? text : NULL;
}

static const char *
value_or(const struct environment *env, const char *name, const char *other)
{
	const char *text = value(env, name);

	return text != NULL ? text : other;
}

static bool
has(const struct environment *env, const char *name)
{
	return value(env, name) != NULL;
}

/* Digits and nothing else. */
static bool
parse_number(const char *text, int64_t most, int64_t *number)
{
	int64_t n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (*text - '0');
		if (n > most)
			return false;
	}
	*number = n;
	return true;
}

static tutti_status
read_number(const struct environment *env, const char *name, int64_t least, int64_t most, int *number)
{
	const char *text = value(env, name);
	int64_t n;

	if (!parse_number(text, most, &n) || n < least)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s=\"%.40s\" should be a number from %lld to %lld", name,
		    text, (long long)least, (long long)most);
	*number = (int)n;
	return TUTTI_OK;
}

static tutti_status
missing(const char *name, const char *because)
{
	return tt_fail(
	    TUTTI_ERR_ARGUMENT, -1, "%s is not set, although %s: set it, or unset the others", name, because);
}

/* Appends what fits. */
static void TT_PRINTF(3, 4) append(char *text, size_t bytes, const char *format, ...)
{
	const size_t length = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + length, bytes - length, format, arguments);
	va_end(arguments);
}

/* A name that is too long keeps its beginning and gets a digest of the whole, so that it stays one of its kind. */
static void TT_PRINTF(2, 3) name_job(struct tt_identity *identity, const char *format, ...)
{
	const size_t room = sizeof(identity->job);
	char whole[1024];
	uint64_t digest = UINT64_C(14695981039346656037);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(whole, sizeof(whole), format, arguments);
	va_end(arguments);
	if (strlen(whole) < room) {
		memcpy(identity->job, whole, strlen(whole) + 1);
		return;
	}
	for (const char *c = whole; *c != '\0'; c++)
		digest = (digest ^ (unsigned char)*c) * UINT64_C(1099511628211);
	snprintf(identity->job, room, "%.100s#%016llx", whole, (unsigned long long)digest);
}

static tutti_status
set_host(struct tt_identity *identity, const char *name, const char *host, size_t length)
{
	if (length == 0 || length >= sizeof(identity->root_host))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s does not name a host of 1 to %zu characters", name,
		    sizeof(identity->root_host) - 1);
	memcpy(identity->root_host, host, length);
	identity->root_host[length] = '\0';
	return TUTTI_OK;
}

/* TUTTI_ROOT, "host:port" or "[v6 address]:port". */
static tutti_status
read_root(const struct environment *env, struct tt_identity *identity)
{
	const char *text = value(env, "TUTTI_ROOT");
	const char *colon = strrchr(text, ':');
	const char *host = text, *end = colon;
	int64_t port;

	if (colon != NULL && *text == '[' && colon > text + 1 && colon[-1] == ']') {
		host = text + 1;
		end = colon - 1;
	} else if (colon != NULL && memchr(text, ':', (size_t)(colon - text)) != NULL) {
		colon = NULL;
	}
	if (colon == NULL || !parse_number(colon + 1, UINT16_MAX, &port) || port == 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "TUTTI_ROOT=\"%.80s\" should be HOST:PORT or [IPV6-ADDRESS]:PORT of rank 0", text);
	TT_TRY(set_host(identity, "TUTTI_ROOT", host, (size_t)(end - host)));
	identity->root_port = (int)port;
	identity->root_given = true;
	identity->one_machine = false;
	return TUTTI_OK;
}

static tutti_status
read_master(const struct environment *env, struct tt_identity *identity)
{
	const char *host = value(env, "MASTER_ADDR");

	TT_TRY(set_host(identity, "MASTER_ADDR", host, strlen(host)));
	return read_number(env, "MASTER_PORT", 1, UINT16_MAX, &identity->root_port);
}

/* ---- the launchers, one pair of functions each ---------------------------------------------------------- */

static bool
tutti_complete(const struct environment *env)
{
	return has(env, "TUTTI_RANK") && has(env, "TUTTI_SIZE");
}

static tutti_status
tutti_fill(const struct environment *env, struct tt_identity *identity)
{
	name_job(identity, "tutti/%s", value_or(env, "TUTTI_JOB", ""));
	identity->one_machine = true;
	return TUTTI_OK;
}

static bool
plain_complete(const struct environment *env)
{
	return has(env, "RANK") && has(env, "WORLD_SIZE") && has(env, "MASTER_ADDR") && has(env, "MASTER_PORT");
}

static bool
torchrun_complete(const struct environment *env)
{
	return plain_complete(env) && (has(env, "LOCAL_RANK") || has(env, "TORCHELASTIC_RUN_ID"));
}

static tutti_status
torchrun_fill(const struct environment *env, struct tt_identity *identity)
{
	name_job(identity, "torchrun/%s/%s", value_or(env, "TORCHELASTIC_RESTART_COUNT", "0"),
	    value_or(env, "TORCHELASTIC_RUN_ID", ""));
	identity->one_machine = identity->local_size == identity->size;
	return read_master(env, identity);
}

static bool
openmpi_complete(const struct environment *env)
{
	return has(env, "OMPI_COMM_WORLD_RANK") && has(env, "OMPI_COMM_WORLD_SIZE");
}

static bool
slurm_step(const struct environment *env)
{
	const char *text = value(env, "SLURM_STEP_ID");
	int64_t step;

	return text != NULL && (!parse_number(text, UINT32_MAX, &step) || step < FIRST_SPECIAL_STEP);
}

static bool
pmix_complete(const struct environment *env)
{
	static const char *const server[] = {"PMIX_SERVER_URI", "PMIX_SERVER_URI2", "PMIX_SERVER_URI21",
	    "PMIX_SERVER_URI3", "PMIX_SERVER_URI4", "PMIX_SERVER_URI41", "PMIX_SERVER_URI5", "PMIX_SERVER_URI51"};

	for (size_t i = 0; i < TT_COUNT_OF(server); i++) {
		if (has(env, server[i]))
			return has(env, "PMIX_NAMESPACE") && has(env, "PMIX_RANK");
	}
	return false;
}

static tutti_status
openmpi_fill(const struct environment *env, struct tt_identity *identity)
{
	name_job(
	    identity, "openmpi/%s", value_or(env, "PMIX_NAMESPACE", value_or(env, "OMPI_MCA_ess_base_jobid", "")));
	identity->one_machine = identity->local_size == identity->size;
	identity->pmix = has(env, "PMIX_NAMESPACE");
	return TUTTI_OK;
}

static bool
pmi_complete(const struct environment *env)
{
	return has(env, "PMI_RANK") && has(env, "PMI_SIZE") && (has(env, "PMI_FD") || has(env, "PMI_PORT"));
}

static tutti_status
pmi_fill(const struct environment *env, struct tt_identity *identity)
{
	const char *port = value(env, "PMI_PORT");

	name_job(identity, "pmi/%s", value_or(env, "PMI_JOBID", ""));
	if (has(env, "PMI_FD"))
		return read_number(env, "PMI_FD", 0, MOST_RANKS, &identity->pmi_fd);
	if (strlen(port) >= sizeof(identity->pmi_port))
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "PMI_PORT is longer than %zu characters", sizeof(identity->pmi_port) - 1);
	memcpy(identity->pmi_port, port, strlen(port) + 1);
	identity->pmi_id = identity->rank;
	return has(env, "PMI_ID") ? read_number(env, "PMI_ID", 0, INT32_MAX, &identity->pmi_id) : TUTTI_OK;
}

static bool
slurm_complete(const struct environment *env)
{
	return slurm_step(env) && has(env, "SLURM_PROCID") && has(env, "SLURM_STEP_NUM_TASKS") &&
	       has(env, "SLURM_STEP_NODELIST");
}

static tutti_status
slurm_fill(const struct environment *env, struct tt_identity *identity)
{
	const char *tasks = value(env, "SLURM_STEP_TASKS_PER_NODE");
	int64_t node;
	int hosts;

	name_job(identity, "slurm/%s/%s.%s", value_or(env, "SLURM_RESTART_COUNT", "0"),
	    value_or(env, "SLURM_JOB_ID", ""), value_or(env, "SLURM_STEP_ID", ""));
	TT_TRY(tt_hostlist_first(
	    value(env, "SLURM_STEP_NODELIST"), identity->root_host, sizeof(identity->root_host), &hosts));
	identity->one_machine = hosts == 1;
	if (tasks != NULL && parse_number(value_or(env, "SLURM_NODEID", ""), MOST_RANKS, &node))
		identity->local_size = tt_tasks_of_node(tasks, (int)node);
	return TUTTI_OK;
}

/* A PMIx server says nothing of the job's size in the environment, but Slurm next to it does. */
static tutti_status
pmix_fill(const struct environment *env, struct tt_identity *identity)
{
	identity->pmix = true;
	if (slurm_complete(env)) {
		TT_TRY(read_number(env, "SLURM_STEP_NUM_TASKS", 1, MOST_RANKS, &identity->size));
		if (has(env, "SLURM_LOCALID"))
			TT_TRY(read_number(env, "SLURM_LOCALID", 0, MOST_RANKS - 1, &identity->local_rank));
		TT_TRY(slurm_fill(env, identity));
	}
	name_job(identity, "pmix/%s", value(env, "PMIX_NAMESPACE"));
	return TUTTI_OK;
}

static bool
kubernetes_complete(const struct environment *env)
{
	return has(env, "JOB_COMPLETION_INDEX") && has(env, "TUTTI_SIZE") && has(env, "TUTTI_ROOT");
}

static tutti_status
kubernetes_fill(const struct environment *env, struct tt_identity *identity)
{
	name_job(identity, "kubernetes/%s", value_or(env, "TUTTI_JOB", ""));
	return TUTTI_OK;
}

/* Operators for PyTorch set RANK and WORLD_SIZE once per pod and leave the ranks inside to torchrun. */
static tutti_status
plain_fill(const struct environment *env, struct tt_identity *identity)
{
	const char *text = value_or(env, "PET_NPROC_PER_NODE", "");
	int64_t per_pod;

	name_job(identity, "plain/");
	if (has(env, "KUBERNETES_SERVICE_HOST")) {
		if (parse_number(text, MOST_RANKS, &per_pod) && per_pod > 1)
			return tt_fail(TUTTI_ERR_ARGUMENT, -1,
			    "RANK and WORLD_SIZE number the pods (PET_NPROC_PER_NODE is %lld), not the ranks: "
			    "start the ranks with torchrun, or set TUTTI_RANK, TUTTI_SIZE and TUTTI_ROOT",
			    (long long)per_pod);
		snprintf(identity->warning, sizeof(identity->warning),
		    "RANK=%d of WORLD_SIZE=%d is taken for this process without LOCAL_RANK to confirm it: if these "
		    "number the pods, start the ranks with torchrun",
		    identity->rank, identity->size);
	}
	return read_master(env, identity);
}

static const struct launcher launchers[] = {
    {TT_LAUNCHER_TUTTI, "tutti", "TUTTI_RANK", "TUTTI_SIZE", "TUTTI_LOCAL_RANK", "TUTTI_LOCAL_SIZE", tutti_complete,
	tutti_fill},
    {TT_LAUNCHER_TORCHRUN, "torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", torchrun_complete,
	torchrun_fill},
    {TT_LAUNCHER_OPENMPI, "openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
	"OMPI_COMM_WORLD_LOCAL_SIZE", openmpi_complete, openmpi_fill},
    {TT_LAUNCHER_PMIX, "pmix", "PMIX_RANK", NULL, NULL, NULL, pmix_complete, pmix_fill},
    {TT_LAUNCHER_PMI, "pmi", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", pmi_complete, pmi_fill},
    {TT_LAUNCHER_SLURM, "slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", NULL, slurm_complete,
	slurm_fill},
    {TT_LAUNCHER_KUBERNETES, "kubernetes", "JOB_COMPLETION_INDEX", "TUTTI_SIZE", NULL, NULL, kubernetes_complete,
	kubernetes_fill},
    {TT_LAUNCHER_PLAIN, "plain", "RANK", "WORLD_SIZE", NULL, NULL, plain_complete, plain_fill},
};

const char *
tt_launcher_name(enum tt_launcher launcher)
{
	for (size_t i = 0; i < TT_COUNT_OF(launchers); i++) {
		if (launchers[i].launcher == launcher)
			return launchers[i].name;
	}
	return "none";
}

/* ---- choosing ------------------------------------------------------------------------------------------- */

/* Half of a set that names us, or that no other program would set, whatever else is there. */
static tutti_status
refuse_halves(const struct environment *env)
{
	if (has(env, "TUTTI_RANK") && !has(env, "TUTTI_SIZE"))
		return missing("TUTTI_SIZE", "TUTTI_RANK is");
	if (has(env, "TUTTI_SIZE") && !has(env, "TUTTI_RANK") && !has(env, "JOB_COMPLETION_INDEX"))
		return missing("TUTTI_RANK", "TUTTI_SIZE is");
	return TUTTI_OK;
}

/* Nothing is complete, so this process would be alone: not if somebody clearly started it as one of several. */
static tutti_status
refuse_strays(const struct environment *env)
{
	int64_t size;

	if (has(env, "TUTTI_SIZE"))
		return missing("TUTTI_ROOT", "JOB_COMPLETION_INDEX and TUTTI_SIZE are");
	if (has(env, "TUTTI_ROOT"))
		return missing("TUTTI_SIZE", "TUTTI_ROOT is");
	if (has(env, "OMPI_COMM_WORLD_RANK"))
		return missing("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK is");
	if (has(env, "RANK") && has(env, "LOCAL_RANK") && !has(env, "WORLD_SIZE"))
		return missing("WORLD_SIZE", "RANK and LOCAL_RANK are");
	if (has(env, "RANK") && parse_number(value_or(env, "WORLD_SIZE", ""), MOST_RANKS, &size) && size > 1)
		return missing(has(env, "MASTER_ADDR") ? "MASTER_PORT" : "MASTER_ADDR", "RANK and WORLD_SIZE are");
	if (has(env, "PMI_RANK") && parse_number(value_or(env, "PMI_SIZE", ""), MOST_RANKS, &size) && size > 1)
		return missing("PMI_FD", "PMI_RANK and PMI_SIZE are");
	if (slurm_step(env) && parse_number(value_or(env, "SLURM_STEP_NUM_TASKS", ""), MOST_RANKS, &size) && size > 1)
		return missing(has(env, "SLURM_PROCID") ? "SLURM_STEP_NODELIST" : "SLURM_PROCID", "SLURM_STEP_ID is");
	return TUTTI_OK;
}

/* Numbers only: the text goes into a log line. */
static const char *
number_or_question(const struct environment *env, const char *name)
{
	const char *text = name != NULL ? value(env, name) : NULL;
	int64_t number;

	return text != NULL && parse_number(text, MOST_RANKS, &number) && strlen(text) < 10 ? text : "?";
}

static const struct launcher *
choose(const struct environment *env, struct tt_identity *identity)
{
	const struct launcher *chosen = NULL;

	for (size_t i = 0; i < TT_COUNT_OF(launchers); i++) {
		const struct launcher *l = &launchers[i];

		/* torchrun's set always holds the plain one. */
		if (!l->complete(env) || (l->launcher == TT_LAUNCHER_PLAIN && torchrun_complete(env)))
			continue;
		append(identity->seen, sizeof(identity->seen), "%s%s %s of %s", chosen != NULL ? ", " : "", l->name,
		    number_or_question(env, l->rank), number_or_question(env, l->size));
		if (chosen == NULL)
			chosen = l;
	}
	if (chosen == NULL && has(env, "SLURM_PROCID") && !slurm_step(env))
		append(identity->seen, sizeof(identity->seen), "a Slurm job without a step");
	return chosen;
}

static tutti_status
read_local(const struct environment *env, const struct launcher *l, struct tt_identity *identity)
{
	if (l->local_rank != NULL && has(env, l->local_rank))
		TT_TRY(read_number(env, l->local_rank, 0, identity->size - 1, &identity->local_rank));
	if (l->local_size != NULL && has(env, l->local_size))
		TT_TRY(read_number(env, l->local_size, 1, identity->size, &identity->local_size));
	return TUTTI_OK;
}

static tutti_status
read_chosen(const struct environment *env, const struct launcher *l, struct tt_identity *identity)
{
	identity->launcher = l->launcher;
	if (l->size != NULL)
		TT_TRY(read_number(env, l->size, 1, MOST_RANKS, &identity->size));
	TT_TRY(read_number(env, l->rank, 0, MOST_RANKS - 1, &identity->rank));
	TT_TRY(read_local(env, l, identity));
	TT_TRY(l->fill(env, identity));
	if (identity->size > 0 && identity->rank >= identity->size)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s=%d is not a rank of a job with %d ranks (0 to %d)",
		    l->rank, identity->rank, identity->size, identity->size - 1);
	return has(env, "TUTTI_ROOT") ? read_root(env, identity) : TUTTI_OK;
}

tutti_status
tt_identity_read(const char *(*get)(void *context, const char *name), void *context, struct tt_identity *identity)
{
	const struct environment env = {get, context};
	struct tt_identity found = {.local_rank = -1, .local_size = -1, .secret_fd = -1, .pmi_fd = -1};
	const struct launcher *chosen;

	TT_TRY(refuse_halves(&env));
	chosen = choose(&env, &found);
	if (chosen == NULL) {
		TT_TRY(refuse_strays(&env));
		found.size = 1;
		found.local_rank = 0;
		found.local_size = 1;
		found.one_machine = true;
	} else {
		TT_TRY(read_chosen(&env, chosen, &found));
	}
	if (has(&env, "TUTTI_SECRET_FD"))
		TT_TRY(read_number(&env, "TUTTI_SECRET_FD", 0, MOST_RANKS, &found.secret_fd));
	*identity = found;
	return TUTTI_OK;
}

static const char *
from_process(void *context, const char *name)
{
	return getenv(name);
}

tutti_status
tt_identity_from_env(struct tt_identity *identity)
{
	struct tt_identity found;

	TT_TRY(tt_identity_read(from_process, NULL, &found));
	if (found.size == 0) {
		TT_TRY(tt_pmix_job(&found.size, &found.local_rank, &found.local_size));
		if (found.rank >= found.size)
			return tt_fail(TUTTI_ERR_ARGUMENT, -1,
			    "PMIX_RANK=%d is not a rank of a job with %d ranks, as the PMIx server counts them",
			    found.rank, found.size);
		found.one_machine = !found.root_given && found.local_size == found.size;
	}
	*identity = found;
	return TUTTI_OK;
}

unsigned
tt_identity_next_call(void)
{
	static tt_atomic_u32 calls;

	return tt_fetch_add_relaxed(&calls, 1);
}
