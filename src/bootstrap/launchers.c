/* SPDX-License-Identifier: Apache-2.0
 *
 * launchers.c - the table of launchers, innermost first, and what to take from the variables of each.
 *
 * Slurm comes late and needs a step, because the shell of a batch job has SLURM_PROCID=0 and everything that mpirun
 * starts there inherits it.
 */
#include "bootstrap/launchers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "bootstrap/hostlist.h"

/* Slurm's numbers for the steps that it makes itself (batch script, interactive shell, ...). */
#define FIRST_SPECIAL_STEP INT64_C(0xfffffff0)

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

tutti_status
tt_identity_set_host(struct tt_identity *identity, const char *name, const char *host, size_t length)
{
	if (length == 0 || length >= sizeof(identity->root_host))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s does not name a host of 1 to %zu characters", name,
		    sizeof(identity->root_host) - 1);
	memcpy(identity->root_host, host, length);
	identity->root_host[length] = '\0';
	return TUTTI_OK;
}

static tutti_status
read_master(const struct tt_env *env, struct tt_identity *identity)
{
	const char *host = tt_env_value(env, "MASTER_ADDR");

	TT_TRY(tt_identity_set_host(identity, "MASTER_ADDR", host, strlen(host)));
	return tt_env_number(env, "MASTER_PORT", 1, UINT16_MAX, &identity->root_port);
}

/* ---- one pair of functions each -------------------------------------------------------------------------- */

static bool
tutti_complete(const struct tt_env *env)
{
	return tt_env_has(env, "TUTTI_RANK") && tt_env_has(env, "TUTTI_SIZE");
}

static tutti_status
tutti_fill(const struct tt_env *env, struct tt_identity *identity)
{
	name_job(identity, "tutti/%s", tt_env_value_or(env, "TUTTI_JOB", ""));
	identity->one_machine = true;
	return TUTTI_OK;
}

static bool
plain_complete(const struct tt_env *env)
{
	return tt_env_has(env, "RANK") && tt_env_has(env, "WORLD_SIZE") && tt_env_has(env, "MASTER_ADDR") &&
	       tt_env_has(env, "MASTER_PORT");
}

static bool
torchrun_complete(const struct tt_env *env)
{
	return plain_complete(env) && (tt_env_has(env, "LOCAL_RANK") || tt_env_has(env, "TORCHELASTIC_RUN_ID"));
}

static tutti_status
torchrun_fill(const struct tt_env *env, struct tt_identity *identity)
{
	name_job(identity, "torchrun/%s/%s", tt_env_value_or(env, "TORCHELASTIC_RESTART_COUNT", "0"),
	    tt_env_value_or(env, "TORCHELASTIC_RUN_ID", ""));
	identity->one_machine = identity->local_size == identity->size;
	return read_master(env, identity);
}

static bool
openmpi_complete(const struct tt_env *env)
{
	return tt_env_has(env, "OMPI_COMM_WORLD_RANK") && tt_env_has(env, "OMPI_COMM_WORLD_SIZE");
}

bool
tt_slurm_step(const struct tt_env *env)
{
	const char *text = tt_env_value(env, "SLURM_STEP_ID");
	int64_t step;

	return text != NULL && (!tt_parse_number(text, UINT32_MAX, &step) || step < FIRST_SPECIAL_STEP);
}

static bool
pmix_complete(const struct tt_env *env)
{
	static const char *const server[] = {"PMIX_SERVER_URI", "PMIX_SERVER_URI2", "PMIX_SERVER_URI21",
	    "PMIX_SERVER_URI3", "PMIX_SERVER_URI4", "PMIX_SERVER_URI41", "PMIX_SERVER_URI5", "PMIX_SERVER_URI51"};

	for (size_t i = 0; i < TT_COUNT_OF(server); i++) {
		if (tt_env_has(env, server[i]))
			return tt_env_has(env, "PMIX_NAMESPACE") && tt_env_has(env, "PMIX_RANK");
	}
	return false;
}

static tutti_status
openmpi_fill(const struct tt_env *env, struct tt_identity *identity)
{
	name_job(identity, "openmpi/%s",
	    tt_env_value_or(env, "PMIX_NAMESPACE", tt_env_value_or(env, "OMPI_MCA_ess_base_jobid", "")));
	identity->one_machine = identity->local_size == identity->size;
	identity->pmix = tt_env_has(env, "PMIX_NAMESPACE");
	return TUTTI_OK;
}

static bool
pmi_complete(const struct tt_env *env)
{
	return tt_env_has(env, "PMI_RANK") && tt_env_has(env, "PMI_SIZE") &&
	       (tt_env_has(env, "PMI_FD") || tt_env_has(env, "PMI_PORT"));
}

static tutti_status
pmi_fill(const struct tt_env *env, struct tt_identity *identity)
{
	const char *port = tt_env_value(env, "PMI_PORT");

	name_job(identity, "pmi/%s", tt_env_value_or(env, "PMI_JOBID", ""));
	if (tt_env_has(env, "PMI_FD"))
		return tt_env_number(env, "PMI_FD", 0, TT_MOST_RANKS, &identity->pmi_fd);
	if (strlen(port) >= sizeof(identity->pmi_port))
		return tt_fail(
		    TUTTI_ERR_ARGUMENT, -1, "PMI_PORT is longer than %zu characters", sizeof(identity->pmi_port) - 1);
	memcpy(identity->pmi_port, port, strlen(port) + 1);
	identity->pmi_id = identity->rank;
	return tt_env_has(env, "PMI_ID") ? tt_env_number(env, "PMI_ID", 0, INT32_MAX, &identity->pmi_id) : TUTTI_OK;
}

static bool
slurm_complete(const struct tt_env *env)
{
	return tt_slurm_step(env) && tt_env_has(env, "SLURM_PROCID") && tt_env_has(env, "SLURM_STEP_NUM_TASKS") &&
	       tt_env_has(env, "SLURM_STEP_NODELIST");
}

static tutti_status
slurm_fill(const struct tt_env *env, struct tt_identity *identity)
{
	const char *tasks = tt_env_value(env, "SLURM_STEP_TASKS_PER_NODE");
	int64_t node;
	int hosts;

	name_job(identity, "slurm/%s/%s.%s", tt_env_value_or(env, "SLURM_RESTART_COUNT", "0"),
	    tt_env_value_or(env, "SLURM_JOB_ID", ""), tt_env_value_or(env, "SLURM_STEP_ID", ""));
	TT_TRY(tt_hostlist_first(
	    tt_env_value(env, "SLURM_STEP_NODELIST"), identity->root_host, sizeof(identity->root_host), &hosts));
	identity->one_machine = hosts == 1;
	if (tasks != NULL && tt_parse_number(tt_env_value_or(env, "SLURM_NODEID", ""), TT_MOST_RANKS, &node))
		identity->local_size = tt_tasks_of_node(tasks, (int)node);
	return TUTTI_OK;
}

/* A PMIx server says nothing of the job's size in the environment. Slurm's variables do, if the server is Slurm's
 * too, and not that of another launcher inside the step. */
static tutti_status
pmix_fill(const struct tt_env *env, struct tt_identity *identity)
{
	static const char slurms[] = "slurm.pmix.";

	identity->pmix = true;
	if (slurm_complete(env) && strncmp(tt_env_value(env, "PMIX_NAMESPACE"), slurms, strlen(slurms)) == 0) {
		TT_TRY(tt_env_number(env, "SLURM_STEP_NUM_TASKS", 1, TT_MOST_RANKS, &identity->size));
		if (tt_env_has(env, "SLURM_LOCALID"))
			TT_TRY(tt_env_number(env, "SLURM_LOCALID", 0, TT_MOST_RANKS - 1, &identity->local_rank));
		TT_TRY(slurm_fill(env, identity));
	}
	name_job(identity, "pmix/%s", tt_env_value(env, "PMIX_NAMESPACE"));
	return TUTTI_OK;
}

static bool
kubernetes_complete(const struct tt_env *env)
{
	return tt_env_has(env, "JOB_COMPLETION_INDEX") && tt_env_has(env, "TUTTI_SIZE") &&
	       tt_env_has(env, "TUTTI_ROOT");
}

static tutti_status
kubernetes_fill(const struct tt_env *env, struct tt_identity *identity)
{
	name_job(identity, "kubernetes/%s", tt_env_value_or(env, "TUTTI_JOB", ""));
	return TUTTI_OK;
}

/* Operators for PyTorch set RANK and WORLD_SIZE once per pod and leave the ranks inside to torchrun. */
static tutti_status
plain_fill(const struct tt_env *env, struct tt_identity *identity)
{
	const char *text = tt_env_value_or(env, "PET_NPROC_PER_NODE", "");
	int64_t per_pod;

	name_job(identity, "plain/");
	if (tt_env_has(env, "KUBERNETES_SERVICE_HOST")) {
		if (tt_parse_number(text, TT_MOST_RANKS, &per_pod) && per_pod > 1)
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

static const struct tt_launcher_entry launchers[] = {
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

const struct tt_launcher_entry *
tt_launchers(size_t *n)
{
	*n = TT_COUNT_OF(launchers);
	return launchers;
}
