/* SPDX-License-Identifier: Apache-2.0
 *
 * test_identity.c - which launcher started a process, over tables of environments.
 *
 * The environments are as launchers make them: whole, nested in each other, torn, and malformed.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "bootstrap/identity.h"

#define VARIABLES 24

/* "NAME=value" each. */
typedef const char *environment[VARIABLES];

static const char *
from_table(void *context, const char *name)
{
	const char *const *variables = context;
	const size_t length = strlen(name);

	for (int i = 0; i < VARIABLES && variables[i] != NULL; i++)
		if (strncmp(variables[i], name, length) == 0 && variables[i][length] == '=')
			return variables[i] + length + 1;
	return NULL;
}

static tutti_status
read_table(const environment *variables, struct tt_identity *identity)
{
	return tt_identity_read(from_table, (void *)*variables, identity);
}

#define TORCHRUN \
	"RANK=3", "WORLD_SIZE=8", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2", "MASTER_ADDR=node1", "MASTER_PORT=29500", \
	    "TORCHELASTIC_RUN_ID=none", "TORCHELASTIC_RESTART_COUNT=2"
#define OPENMPI \
	"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_RANK=1", \
	    "OMPI_COMM_WORLD_LOCAL_SIZE=4", "PMIX_NAMESPACE=4711.1", "PMIX_RANK=1", "PMIX_SERVER_URI41=x"
#define HYDRA "PMI_RANK=2", "PMI_SIZE=3", "PMI_FD=9", "MPI_LOCALRANKID=2", "MPI_LOCALNRANKS=3"
#define BATCH_SHELL \
	"SLURM_JOB_ID=77", "SLURM_PROCID=0", "SLURM_NTASKS=6", "SLURM_NODEID=0", "SLURM_LOCALID=0", "SLURM_NNODES=3"
#define SLURM_STEP \
	"SLURM_JOB_ID=77", "SLURM_STEP_ID=0", "SLURM_PROCID=5", "SLURM_NTASKS=6", "SLURM_STEP_NUM_TASKS=6", \
	    "SLURM_STEP_NODELIST=n[2-3,7]", "SLURM_STEP_TASKS_PER_NODE=2(x3)", "SLURM_NODEID=2", "SLURM_LOCALID=1"

struct good {
	const char *name;
	environment env;
	enum tt_launcher launcher;
	int rank, size, local_rank, local_size;
	const char *job, *host;
	int port;
	bool root_given, one_machine, pmix;
};

static const struct good good[] = {
    {"nothing", {NULL}, TT_LAUNCHER_NONE, 0, 1, 0, 1, "", "", 0, false, true, false},
    {"tutti run", {"TUTTI_RANK=2", "TUTTI_SIZE=4", "TUTTI_LOCAL_RANK=2", "TUTTI_LOCAL_SIZE=4", "TUTTI_JOB=j1"},
	TT_LAUNCHER_TUTTI, 2, 4, 2, 4, "tutti/j1", "", 0, false, true, false},
    {"tutti by hand over hosts", {"TUTTI_RANK=2", "TUTTI_SIZE=4", "TUTTI_ROOT=head.example:4711"}, TT_LAUNCHER_TUTTI,
	2, 4, -1, -1, "tutti/", "head.example", 4711, true, false, false},
    {"a root in IPv6", {"TUTTI_RANK=0", "TUTTI_SIZE=4", "TUTTI_ROOT=[fd00::1]:65535"}, TT_LAUNCHER_TUTTI, 0, 4, -1,
	-1, "tutti/", "fd00::1", 65535, true, false, false},
    {"torchrun", {TORCHRUN}, TT_LAUNCHER_TORCHRUN, 3, 8, 1, 2, "torchrun/2/none", "node1", 29500, false, false,
	false},
    {"torchrun on one host",
	{"RANK=1", "WORLD_SIZE=2", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2", "MASTER_ADDR=::1", "MASTER_PORT=1"},
	TT_LAUNCHER_TORCHRUN, 1, 2, 1, 2, "torchrun/0/", "::1", 1, false, true, false},
    {"mpirun of Open MPI", {OPENMPI}, TT_LAUNCHER_OPENMPI, 1, 4, 1, 4, "openmpi/4711.1", "", 0, false, true, true},
    {"mpirun over hosts", {"OMPI_COMM_WORLD_RANK=3", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=2"},
	TT_LAUNCHER_OPENMPI, 3, 4, -1, 2, "openmpi/", "", 0, false, false, false},
    {"prterun: the server knows the size", {"PMIX_NAMESPACE=prte.1", "PMIX_RANK=3", "PMIX_SERVER_URI2=x"},
	TT_LAUNCHER_PMIX, 3, 0, -1, -1, "pmix/prte.1", "", 0, false, false, true},
    {"srun --mpi=pmix", {SLURM_STEP, "PMIX_NAMESPACE=slurm.pmix.77.0", "PMIX_RANK=5", "PMIX_SERVER_URI3=x"},
	TT_LAUNCHER_PMIX, 5, 6, 1, 2, "pmix/slurm.pmix.77.0", "n2", 0, false, false, true},
    {"prterun in a step", {SLURM_STEP, "PMIX_NAMESPACE=prte.1", "PMIX_RANK=8", "PMIX_SERVER_URI3=x"},
	TT_LAUNCHER_PMIX, 8, 0, -1, -1, "pmix/prte.1", "", 0, false, false, true},
    {"mpiexec.hydra", {HYDRA}, TT_LAUNCHER_PMI, 2, 3, 2, 3, "pmi/", "", 0, false, false, false},
    {"hydra by port", {"PMI_RANK=2", "PMI_SIZE=3", "PMI_PORT=head:5555", "PMI_ID=2"}, TT_LAUNCHER_PMI, 2, 3, -1, -1,
	"pmi/", "", 0, false, false, false},
    {"srun --mpi=pmi2", {SLURM_STEP, "PMI_RANK=5", "PMI_SIZE=6", "PMI_FD=11", "PMI_JOBID=77.0"}, TT_LAUNCHER_PMI, 5,
	6, -1, -1, "pmi/77.0", "", 0, false, false, false},
    {"srun", {SLURM_STEP}, TT_LAUNCHER_SLURM, 5, 6, 1, 2, "slurm/0/77.0", "n2", 0, false, false, false},
    {"srun after a requeue, on one host",
	{"SLURM_JOB_ID=77", "SLURM_STEP_ID=3", "SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NODELIST=n7",
	    "SLURM_RESTART_COUNT=1"},
	TT_LAUNCHER_SLURM, 0, 2, -1, -1, "slurm/1/77.3", "n7", 0, false, true, false},
    {"Kubernetes indexed job",
	{"JOB_COMPLETION_INDEX=3", "TUTTI_SIZE=4", "TUTTI_ROOT=job-0.svc:4711", "TUTTI_JOB=train"},
	TT_LAUNCHER_KUBERNETES, 3, 4, -1, -1, "kubernetes/train", "job-0.svc", 4711, true, false, false},
    {"bare variables", {"RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=10.0.0.1", "MASTER_PORT=29500"}, TT_LAUNCHER_PLAIN, 1,
	2, -1, -1, "plain/", "10.0.0.1", 29500, false, false, false},

    /* the innermost wins */
    {"srun of torchrun", {SLURM_STEP, TORCHRUN}, TT_LAUNCHER_TORCHRUN, 3, 8, 1, 2, "torchrun/2/none", "node1", 29500,
	false, false, false},
    {"srun of mpirun", {SLURM_STEP, OPENMPI}, TT_LAUNCHER_OPENMPI, 1, 4, 1, 4, "openmpi/4711.1", "", 0, false, true,
	true},
    {"mpirun of torchrun", {OPENMPI, TORCHRUN}, TT_LAUNCHER_TORCHRUN, 3, 8, 1, 2, "torchrun/2/none", "node1", 29500,
	false, false, false},
    {"srun of tutti run", {SLURM_STEP, "TUTTI_RANK=1", "TUTTI_SIZE=2"}, TT_LAUNCHER_TUTTI, 1, 2, -1, -1, "tutti/", "",
	0, false, true, false},
    {"hydra that serves PMIx too", {HYDRA, "PMIX_NAMESPACE=x", "PMIX_RANK=2", "PMIX_SERVER_URI4=x"}, TT_LAUNCHER_PMIX,
	2, 0, -1, -1, "pmix/x", "", 0, false, false, true},
    {"a person's root beats the launcher's", {OPENMPI, "TUTTI_ROOT=head:1"}, TT_LAUNCHER_OPENMPI, 1, 4, 1, 4,
	"openmpi/4711.1", "head", 1, true, false, true},

    /* traps */
    {"the shell of a batch job is alone", {BATCH_SHELL}, TT_LAUNCHER_NONE, 0, 1, 0, 1, "", "", 0, false, true, false},
    {"mpirun's ranks in a batch job", {BATCH_SHELL, HYDRA}, TT_LAUNCHER_PMI, 2, 3, 2, 3, "pmi/", "", 0, false, false,
	false},
    {"the shell of an interactive step is alone",
	{"SLURM_JOB_ID=77", "SLURM_STEP_ID=4294967290", "SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1",
	    "SLURM_STEP_NODELIST=n1", "SLURM_NTASKS=6"},
	TT_LAUNCHER_NONE, 0, 1, 0, 1, "", "", 0, false, true, false},
    {"set to nothing is not set", {"TUTTI_RANK=", "TUTTI_SIZE=", "RANK=", HYDRA}, TT_LAUNCHER_PMI, 2, 3, 2, 3, "pmi/",
	"", 0, false, false, false},
    {"a RANK of something else", {"RANK=colonel"}, TT_LAUNCHER_NONE, 0, 1, 0, 1, "", "", 0, false, true, false},
    {"a PMIx namespace without a server", {"PMIX_NAMESPACE=x", "PMIX_RANK=1"}, TT_LAUNCHER_NONE, 0, 1, 0, 1, "", "",
	0, false, true, false},
    {"a lower set may be malformed", {TORCHRUN, "PMI_RANK=x", "PMI_SIZE=-1", "PMI_FD=z"}, TT_LAUNCHER_TORCHRUN, 3, 8,
	1, 2, "torchrun/2/none", "node1", 29500, false, false, false},
    {"an index without a size", {"JOB_COMPLETION_INDEX=1"}, TT_LAUNCHER_NONE, 0, 1, 0, 1, "", "", 0, false, true,
	false},
    {"a size for pods whose ranks torchrun starts", {TORCHRUN, "JOB_COMPLETION_INDEX=1", "TUTTI_SIZE=2"},
	TT_LAUNCHER_TORCHRUN, 3, 8, 1, 2, "torchrun/2/none", "node1", 29500, false, false, false},
    {"the most ranks", {"TUTTI_RANK=1048575", "TUTTI_SIZE=1048576"}, TT_LAUNCHER_TUTTI, 1048575, 1048576, -1, -1,
	"tutti/", "", 0, false, true, false},
};

Test(identity, every_launcher_and_every_trap)
{
	for (size_t i = 0; i < TT_COUNT_OF(good); i++) {
		const struct good *g = &good[i];
		struct tt_identity id;

		cr_assert(read_table(&g->env, &id) == TUTTI_OK, "%s: %s", g->name, tt_last_error()->message);
		cr_assert(id.launcher == g->launcher, "%s: %s", g->name, tt_launcher_name(id.launcher));
		cr_assert(id.rank == g->rank && id.size == g->size, "%s: %d of %d", g->name, id.rank, id.size);
		cr_assert(id.local_rank == g->local_rank && id.local_size == g->local_size, "%s: %d of %d locally",
		    g->name, id.local_rank, id.local_size);
		cr_assert(strcmp(id.job, g->job) == 0, "%s: job %s", g->name, id.job);
		cr_assert(strcmp(id.root_host, g->host) == 0, "%s: host %s", g->name, id.root_host);
		cr_assert(id.root_port == g->port, "%s: port %d", g->name, id.root_port);
		cr_assert(id.root_given == g->root_given, "%s: root given", g->name);
		cr_assert(id.one_machine == g->one_machine, "%s: one machine", g->name);
		cr_assert(id.pmix == g->pmix, "%s: PMIx", g->name);
		cr_assert(id.warning[0] == '\0', "%s: %s", g->name, id.warning);
	}
}

static const struct {
	environment env;
	const char *named; /* what the message has to name */
} bad[] = {
    /* halves */
    {{"TUTTI_RANK=0"}, "TUTTI_SIZE is not set"},
    {{"TUTTI_SIZE=2"}, "TUTTI_RANK is not set"},
    {{"TUTTI_RANK=0", TORCHRUN}, "TUTTI_SIZE is not set"},
    {{"TUTTI_ROOT=a:1"}, "TUTTI_SIZE is not set"},
    {{"JOB_COMPLETION_INDEX=1", "TUTTI_SIZE=2"}, "TUTTI_ROOT is not set"},
    {{"OMPI_COMM_WORLD_RANK=1"}, "OMPI_COMM_WORLD_SIZE is not set"},
    {{"RANK=0", "LOCAL_RANK=0"}, "WORLD_SIZE is not set"},
    {{"RANK=0", "WORLD_SIZE=2"}, "MASTER_ADDR is not set"},
    {{"RANK=0", "WORLD_SIZE=2", "LOCAL_RANK=0", "MASTER_ADDR=a"}, "MASTER_PORT is not set"},
    {{"PMI_RANK=0", "PMI_SIZE=2"}, "PMI_FD is not set"},
    {{"SLURM_STEP_ID=0", "SLURM_STEP_NUM_TASKS=2", "SLURM_PROCID=1"}, "SLURM_STEP_NODELIST is not set"},
    {{"SLURM_STEP_ID=0", "SLURM_STEP_NUM_TASKS=2"}, "SLURM_PROCID is not set"},

    /* numbers */
    {{"TUTTI_RANK=-1", "TUTTI_SIZE=2"}, "TUTTI_RANK=\"-1\""},
    {{"TUTTI_RANK=+1", "TUTTI_SIZE=2"}, "TUTTI_RANK=\"+1\""},
    {{"TUTTI_RANK= 1", "TUTTI_SIZE=2"}, "TUTTI_RANK=\" 1\""},
    {{"TUTTI_RANK=1 ", "TUTTI_SIZE=2"}, "TUTTI_RANK=\"1 \""},
    {{"TUTTI_RANK=1.0", "TUTTI_SIZE=2"}, "TUTTI_RANK=\"1.0\""},
    {{"TUTTI_RANK=0x1", "TUTTI_SIZE=2"}, "TUTTI_RANK=\"0x1\""},
    {{"TUTTI_RANK=2", "TUTTI_SIZE=2"}, "TUTTI_RANK=2 is not a rank of a job with 2 ranks"},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=0"}, "TUTTI_SIZE=\"0\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=1048577"}, "TUTTI_SIZE=\"1048577\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=18446744073709551617"}, "TUTTI_SIZE="},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_LOCAL_RANK=2"}, "TUTTI_LOCAL_RANK=\"2\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_LOCAL_SIZE=x"}, "TUTTI_LOCAL_SIZE=\"x\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_SECRET_FD=x"}, "TUTTI_SECRET_FD=\"x\""},
    {{"PMI_RANK=0", "PMI_SIZE=2", "PMI_FD=-1"}, "PMI_FD=\"-1\""},
    {{"RANK=0", "WORLD_SIZE=two", "MASTER_ADDR=a", "MASTER_PORT=1"}, "WORLD_SIZE=\"two\""},
    {{"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=0"}, "MASTER_PORT=\"0\""},
    {{"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=65536"}, "MASTER_PORT=\"65536\""},
    {{"PMIX_NAMESPACE=x", "PMIX_RANK=4294967295", "PMIX_SERVER_URI=x"}, "PMIX_RANK=\"4294967295\""},
    {{"SLURM_STEP_ID=0", "SLURM_PROCID=6", "SLURM_STEP_NUM_TASKS=6", "SLURM_STEP_NODELIST=n1"}, "SLURM_PROCID=6"},
    {{"SLURM_STEP_ID=0", "SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=6", "SLURM_STEP_NODELIST=n["}, "host list \"n[\""},

    /* roots */
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_ROOT=head"}, "TUTTI_ROOT=\"head\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_ROOT=head:"}, "TUTTI_ROOT=\"head:\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_ROOT=:1"}, "TUTTI_ROOT does not name a host"},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_ROOT=head:0"}, "TUTTI_ROOT=\"head:0\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_ROOT=head:65536"}, "TUTTI_ROOT=\"head:65536\""},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_ROOT=fd00::1:4711"}, "[IPV6-ADDRESS]"},
    {{"TUTTI_RANK=0", "TUTTI_SIZE=2", "TUTTI_ROOT=[]:4711"}, "TUTTI_ROOT"},

    /* pods */
    {{"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=1", "KUBERNETES_SERVICE_HOST=10.0.0.1",
	 "PET_NPROC_PER_NODE=8"},
	"number the pods"},
};

Test(identity, half_sets_and_malformed_values_are_named)
{
	for (size_t i = 0; i < TT_COUNT_OF(bad); i++) {
		struct tt_identity id = {.rank = -7};

		cr_assert(
		    read_table(&bad[i].env, &id) == TUTTI_ERR_ARGUMENT, "%s should have been refused", bad[i].env[0]);
		cr_assert(strstr(tt_last_error()->message, bad[i].named) != NULL, "\"%s\" should say \"%s\"",
		    tt_last_error()->message, bad[i].named);
		cr_assert(eq(int, id.rank, -7));
	}
}

Test(identity, all_complete_sets_are_listed_with_their_sizes)
{
	static const environment env = {SLURM_STEP, TORCHRUN};
	struct tt_identity id;

	cr_assert(eq(int, read_table(&env, &id), TUTTI_OK));
	cr_assert(strcmp(id.seen, "torchrun 3 of 8, slurm 5 of 6") == 0, "%s", id.seen);
}

Test(identity, what_is_malformed_does_not_get_into_the_log)
{
	static const environment env = {TORCHRUN, "PMI_RANK=\033[2J", "PMI_SIZE=4", "PMI_FD=3"};
	struct tt_identity id;

	cr_assert(eq(int, read_table(&env, &id), TUTTI_OK));
	cr_assert(strcmp(id.seen, "torchrun 3 of 8, pmi ? of 4") == 0, "%s", id.seen);
}

Test(identity, ranks_that_may_be_pods_get_a_warning)
{
	static const environment env = {
	    "RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=1", "KUBERNETES_SERVICE_HOST=10.0.0.1"};
	struct tt_identity id;

	cr_assert(eq(int, read_table(&env, &id), TUTTI_OK));
	cr_assert(eq(int, id.launcher, TT_LAUNCHER_PLAIN));
	cr_assert(strstr(id.warning, "pods") != NULL);
}

Test(identity, two_long_names_of_jobs_stay_different)
{
	char run_id[2][420], *both[] = {run_id[0], run_id[1]};
	struct tt_identity id[2];

	for (int i = 0; i < 2; i++) {
		environment env = {"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=1", both[i]};

		memset(run_id[i], 'x', sizeof(run_id[i]));
		memcpy(run_id[i], "TORCHELASTIC_RUN_ID=", 20);
		snprintf(run_id[i] + 400, 20, "end%d", i);
		cr_assert(eq(int, read_table((const environment *)&env, &id[i]), TUTTI_OK));
	}
	cr_assert(strcmp(id[0].job, id[1].job) != 0);
}

Test(identity, every_launcher_has_a_name)
{
	cr_assert(strcmp(tt_launcher_name(TT_LAUNCHER_NONE), "none") == 0);
	for (int i = TT_LAUNCHER_TUTTI; i <= TT_LAUNCHER_PLAIN; i++)
		cr_assert(strcmp(tt_launcher_name((enum tt_launcher)i), "none") != 0);
}

Test(identity, calls_are_counted_up)
{
	const unsigned first = tt_identity_next_call();

	cr_assert(eq(uint, tt_identity_next_call(), first + 1));
}
