/* SPDX-License-Identifier: Apache-2.0
 *
 * identity.c - which launcher started this process, told from its environment.
 *
 * The first launcher of the table whose variables are all there is taken, and everything is then read from its set.
 * What is left of an incomplete set is ignored, unless it can only be a mistake: running alone where the user asked
 * for a job would be a silent wrong result.
 */
#include "bootstrap/identity.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "base/error.h"
#include "bootstrap/launchers.h"
#include "bootstrap/pmix_client.h"

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

/* TUTTI_ROOT, "host:port" or "[v6 address]:port". */
static tutti_status
read_root(const struct tt_env *env, struct tt_identity *identity)
{
	const char *text = tt_env_value(env, "TUTTI_ROOT");
	const char *colon = strrchr(text, ':');
	const char *host = text, *end = colon;
	int64_t port;

	if (colon != NULL && *text == '[' && colon > text + 1 && colon[-1] == ']') {
		host = text + 1;
		end = colon - 1;
	} else if (colon != NULL && memchr(text, ':', (size_t)(colon - text)) != NULL) {
		colon = NULL;
	}
	if (colon == NULL || !tt_parse_number(colon + 1, UINT16_MAX, &port) || port == 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "TUTTI_ROOT=\"%.80s\" should be HOST:PORT or [IPV6-ADDRESS]:PORT of rank 0", text);
	TT_TRY(tt_identity_set_host(identity, "TUTTI_ROOT", host, (size_t)(end - host)));
	identity->root_port = (int)port;
	identity->root_given = true;
	identity->one_machine = false;
	return TUTTI_OK;
}

const char *
tt_launcher_name(enum tt_launcher launcher)
{
	size_t n;
	const struct tt_launcher_entry *entry = tt_launchers(&n);

	for (; n > 0; n--, entry++) {
		if (entry->launcher == launcher)
			return entry->name;
	}
	return "none";
}

/* ---- choosing ------------------------------------------------------------------------------------------- */

/* Half of a set that names us, or that no other program would set, whatever else is there. */
static tutti_status
refuse_halves(const struct tt_env *env)
{
	if (tt_env_has(env, "TUTTI_RANK") && !tt_env_has(env, "TUTTI_SIZE"))
		return missing("TUTTI_SIZE", "TUTTI_RANK is");
	if (tt_env_has(env, "TUTTI_SIZE") && !tt_env_has(env, "TUTTI_RANK") &&
	    !tt_env_has(env, "JOB_COMPLETION_INDEX"))
		return missing("TUTTI_RANK", "TUTTI_SIZE is");
	return TUTTI_OK;
}

/* Nothing is complete, so this process would be alone: not if somebody clearly started it as one of several. */
static tutti_status
refuse_strays(const struct tt_env *env)
{
	int64_t size;

	if (tt_env_has(env, "TUTTI_SIZE"))
		return missing("TUTTI_ROOT", "JOB_COMPLETION_INDEX and TUTTI_SIZE are");
	if (tt_env_has(env, "TUTTI_ROOT"))
		return missing("TUTTI_SIZE", "TUTTI_ROOT is");
	if (tt_env_has(env, "OMPI_COMM_WORLD_RANK"))
		return missing("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK is");
	if (tt_env_has(env, "RANK") && tt_env_has(env, "LOCAL_RANK") && !tt_env_has(env, "WORLD_SIZE"))
		return missing("WORLD_SIZE", "RANK and LOCAL_RANK are");
	if (tt_env_has(env, "RANK") &&
	    tt_parse_number(tt_env_value_or(env, "WORLD_SIZE", ""), TT_MOST_RANKS, &size) && size > 1)
		return missing(
		    tt_env_has(env, "MASTER_ADDR") ? "MASTER_PORT" : "MASTER_ADDR", "RANK and WORLD_SIZE are");
	if (tt_env_has(env, "PMI_RANK") &&
	    tt_parse_number(tt_env_value_or(env, "PMI_SIZE", ""), TT_MOST_RANKS, &size) && size > 1)
		return missing("PMI_FD", "PMI_RANK and PMI_SIZE are");
	if (tt_slurm_step(env) &&
	    tt_parse_number(tt_env_value_or(env, "SLURM_STEP_NUM_TASKS", ""), TT_MOST_RANKS, &size) && size > 1)
		return missing(
		    tt_env_has(env, "SLURM_PROCID") ? "SLURM_STEP_NODELIST" : "SLURM_PROCID", "SLURM_STEP_ID is");
	return TUTTI_OK;
}

/* Numbers only: the text goes into a log line. */
static const char *
number_or_question(const struct tt_env *env, const char *name)
{
	const char *text = name != NULL ? tt_env_value(env, name) : NULL;
	int64_t number;

	return text != NULL && tt_parse_number(text, TT_MOST_RANKS, &number) && strlen(text) < 10 ? text : "?";
}

static const struct tt_launcher_entry *
choose(const struct tt_env *env, struct tt_identity *identity)
{
	const struct tt_launcher_entry *chosen = NULL;
	bool torchrun = false;
	size_t n;

	for (const struct tt_launcher_entry *l = tt_launchers(&n); n > 0; n--, l++) {
		/* torchrun's set always holds the plain one. */
		if (!l->complete(env) || (l->launcher == TT_LAUNCHER_PLAIN && torchrun))
			continue;
		append(identity->seen, sizeof(identity->seen), "%s%s %s of %s", chosen != NULL ? ", " : "", l->name,
		    number_or_question(env, l->rank), number_or_question(env, l->size));
		torchrun |= l->launcher == TT_LAUNCHER_TORCHRUN;
		if (chosen == NULL)
			chosen = l;
	}
	if (chosen == NULL && tt_env_has(env, "SLURM_PROCID") && !tt_slurm_step(env))
		append(identity->seen, sizeof(identity->seen), "a Slurm job without a step");
	return chosen;
}

static tutti_status
read_local(const struct tt_env *env, const struct tt_launcher_entry *l, struct tt_identity *identity)
{
	if (l->local_rank != NULL && tt_env_has(env, l->local_rank))
		TT_TRY(tt_env_number(env, l->local_rank, 0, identity->size - 1, &identity->local_rank));
	if (l->local_size != NULL && tt_env_has(env, l->local_size))
		TT_TRY(tt_env_number(env, l->local_size, 1, identity->size, &identity->local_size));
	return TUTTI_OK;
}

static tutti_status
read_chosen(const struct tt_env *env, const struct tt_launcher_entry *l, struct tt_identity *identity)
{
	identity->launcher = l->launcher;
	if (l->size != NULL)
		TT_TRY(tt_env_number(env, l->size, 1, TT_MOST_RANKS, &identity->size));
	TT_TRY(tt_env_number(env, l->rank, 0, TT_MOST_RANKS - 1, &identity->rank));
	TT_TRY(read_local(env, l, identity));
	TT_TRY(l->fill(env, identity));
	if (identity->size > 0 && identity->rank >= identity->size)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "%s=%d is not a rank of a job with %d ranks (0 to %d)",
		    l->rank, identity->rank, identity->size, identity->size - 1);
	return tt_env_has(env, "TUTTI_ROOT") ? read_root(env, identity) : TUTTI_OK;
}

tutti_status
tt_identity_read(const char *(*get)(void *context, const char *name), void *context, struct tt_identity *identity)
{
	const struct tt_env env = {get, context};
	struct tt_identity found = {.local_rank = -1, .local_size = -1, .secret_fd = -1, .pmi_fd = -1};
	const struct tt_launcher_entry *chosen;

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
	if (tt_env_has(&env, "TUTTI_SECRET_FD"))
		TT_TRY(tt_env_number(&env, "TUTTI_SECRET_FD", 0, TT_MOST_RANKS, &found.secret_fd));
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
