/* SPDX-License-Identifier: Apache-2.0
 *
 * pmix.c - the plug-in: a client of the PMIx server that started this process.
 *
 * PMIx's blocking calls know no deadline that every server keeps, so the collective ones are started and waited for
 * here. A waiter belongs to both sides, for PMIx may call back long after nobody waits. The session is one per
 * process by nature and the only state of this file; it ends when the process exits, because a server takes a
 * client that leaves without a goodbye for a crash.
 */
#include "bootstrap/pmix/plugin.h"

#include <pmix.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VALUE_BYTES 1024

static struct {
	pthread_mutex_t lock;
	bool open;
	bool broken; /* a fence is still under way: another one could be taken for it */
	pid_t pid; /* a forked child has no session */
	pmix_proc_t me;
} session = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- waiting with a deadline ----------------------------------------------------------------------------- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int holders;
	bool done;
	pmix_status_t status;
	size_t bytes;
	char value[VALUE_BYTES];
};

static struct waiter *
waiter_create(void)
{
	struct waiter *w = calloc(1, sizeof(*w));
	pthread_condattr_t monotonic;

	if (w == NULL)
		return NULL;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	w->holders = 2;
	return w;
}

/* The last holder frees it. */
static void
waiter_put(struct waiter *w)
{
	bool last;

	pthread_mutex_lock(&w->lock);
	last = --w->holders == 0;
	pthread_mutex_unlock(&w->lock);
	if (!last)
		return;
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	memset(w->value, 0, sizeof(w->value));
	free(w);
}

static void
waiter_finish(struct waiter *w, pmix_status_t status, const pmix_value_t *value)
{
	pthread_mutex_lock(&w->lock);
	w->status = status;
	if (status == PMIX_SUCCESS && value != NULL && value->type == PMIX_BYTE_OBJECT &&
	    value->data.bo.size <= sizeof(w->value)) {
		w->bytes = value->data.bo.size;
		memcpy(w->value, value->data.bo.bytes, w->bytes);
	}
	w->done = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	waiter_put(w);
}

static void
fence_done(pmix_status_t status, void *context)
{
	waiter_finish(context, status, NULL);
}

static void
value_came(pmix_status_t status, pmix_value_t *value, void *context)
{
	waiter_finish(context, status, value);
}

static void
deadline_after(int64_t timeout_ms, struct timespec *when)
{
	clock_gettime(CLOCK_MONOTONIC, when);
	when->tv_sec += timeout_ms / 1000;
	when->tv_nsec += timeout_ms % 1000 * 1000000;
	if (when->tv_nsec >= 1000000000) {
		when->tv_nsec -= 1000000000;
		when->tv_sec++;
	}
}

/* PMIX_ERR_TIMEOUT when `deadline` (NULL = none) has passed. */
static pmix_status_t
waiter_wait(struct waiter *w, const struct timespec *deadline)
{
	pmix_status_t status = PMIX_ERR_TIMEOUT;
	int waited = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->done && waited == 0)
		waited = deadline != NULL ? pthread_cond_timedwait(&w->changed, &w->lock, deadline)
					  : pthread_cond_wait(&w->changed, &w->lock);
	if (w->done)
		status = w->status;
	pthread_mutex_unlock(&w->lock);
	return status;
}

/* ---- the session ----------------------------------------------------------------------------------------- */

static tutti_status
failed(const char *what, pmix_status_t status, char why[TT_PMIX_WHY])
{
	snprintf(why, TT_PMIX_WHY, "%s: %s", what, PMIx_Error_string(status));
	if (status == PMIX_ERR_TIMEOUT)
		return TUTTI_ERR_TIMEOUT;
	return status == PMIX_ERR_NOMEM ? TUTTI_ERR_NOMEM : TUTTI_ERR_SYSTEM;
}

static tutti_status
open_session(char why[TT_PMIX_WHY])
{
	tutti_status result = TUTTI_OK;
	pmix_status_t status;

	pthread_mutex_lock(&session.lock);
	if (session.open && session.pid != getpid()) {
		snprintf(why, TT_PMIX_WHY, "this process was forked from one that talks to the PMIx server");
		result = TUTTI_ERR_STATE;
	} else if (!session.open) {
		status = PMIx_Init(&session.me, NULL, 0);
		session.open = status == PMIX_SUCCESS;
		session.pid = getpid();
		if (!session.open) {
			snprintf(why, TT_PMIX_WHY, "no PMIx server answered: %s", PMIx_Error_string(status));
			result = TUTTI_ERR_UNSUPPORTED;
		}
	}
	pthread_mutex_unlock(&session.lock);
	return result;
}

__attribute__((destructor)) static void
close_session(void)
{
	if (session.open && session.pid == getpid())
		PMIx_Finalize(NULL, 0);
	session.open = false;
}

/* A number that the server knows at once; -1 if it does not. */
static int
job_number(pmix_rank_t rank, const char *key)
{
	pmix_value_t *value = NULL;
	pmix_proc_t whose;
	int number = -1;

	PMIX_LOAD_PROCID(&whose, session.me.nspace, rank);
	if (PMIx_Get(&whose, key, NULL, 0, &value) != PMIX_SUCCESS || value == NULL)
		return -1;
	if (value->type == PMIX_UINT32 && value->data.uint32 <= INT32_MAX)
		number = (int)value->data.uint32;
	else if (value->type == PMIX_UINT16)
		number = value->data.uint16;
	PMIX_VALUE_RELEASE(value);
	return number;
}

static tutti_status
job(int *size, int *local_rank, int *local_size, char why[TT_PMIX_WHY])
{
	const tutti_status status = open_session(why);

	if (status != TUTTI_OK)
		return status;
	*size = job_number(PMIX_RANK_WILDCARD, PMIX_JOB_SIZE);
	*local_size = job_number(PMIX_RANK_WILDCARD, PMIX_LOCAL_SIZE);
	*local_rank = job_number(session.me.rank, PMIX_LOCAL_RANK);
	return TUTTI_OK;
}

/* ---- the exchange ---------------------------------------------------------------------------------------- */

static tutti_status
publish(const char *key, void *bytes, size_t n, char why[TT_PMIX_WHY])
{
	pmix_value_t value;
	pmix_status_t status;

	PMIX_VALUE_CONSTRUCT(&value);
	value.type = PMIX_BYTE_OBJECT;
	value.data.bo.bytes = bytes;
	value.data.bo.size = n;
	status = PMIx_Put(PMIX_GLOBAL, key, &value);
	if (status == PMIX_SUCCESS)
		status = PMIx_Commit();
	return status == PMIX_SUCCESS ? TUTTI_OK : failed("PMIx_Put", status, why);
}

/* All ranks of the job, and what they published with them. */
static tutti_status
fence(const struct timespec *deadline, char why[TT_PMIX_WHY])
{
	struct waiter *w = waiter_create();
	bool collect = true;
	pmix_status_t status;
	pmix_info_t info;

	if (w == NULL)
		return failed("PMIx_Fence", PMIX_ERR_NOMEM, why);
	PMIX_INFO_CONSTRUCT(&info);
	PMIX_INFO_LOAD(&info, PMIX_COLLECT_DATA, &collect, PMIX_BOOL);
	status = PMIx_Fence_nb(NULL, 0, &info, 1, fence_done, w);
	if (status == PMIX_SUCCESS)
		status = waiter_wait(w, deadline);
	else
		waiter_put(w); /* nobody will call back */
	waiter_put(w);
	PMIX_INFO_DESTRUCT(&info);
	if (status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED)
		return TUTTI_OK;
	return failed(
	    status == PMIX_ERR_TIMEOUT ? "PMIx_Fence (not all ranks have asked for a communicator)" : "PMIx_Fence",
	    status, why);
}

static tutti_status
fetch(const char *key, void *bytes, size_t n, const struct timespec *deadline, char why[TT_PMIX_WHY])
{
	struct waiter *w = waiter_create();
	tutti_status result = TUTTI_OK;
	pmix_status_t status;
	pmix_proc_t root;

	if (w == NULL)
		return failed("PMIx_Get", PMIX_ERR_NOMEM, why);
	PMIX_LOAD_PROCID(&root, session.me.nspace, 0);
	status = PMIx_Get_nb(&root, key, NULL, 0, value_came, w);
	if (status == PMIX_SUCCESS)
		status = waiter_wait(w, deadline);
	else
		waiter_put(w);
	if (status != PMIX_SUCCESS) {
		result = failed("PMIx_Get", status, why);
	} else if (w->bytes != n) {
		snprintf(why, TT_PMIX_WHY, "PMIx_Get of \"%s\" gave %zu bytes, not %zu", key, w->bytes, n);
		result = TUTTI_ERR_ARGUMENT;
	} else {
		memcpy(bytes, w->value, n);
	}
	waiter_put(w);
	return result;
}

static tutti_status
exchange_alone(int rank, const char *key, void *value, size_t bytes, int64_t timeout_ms, char why[TT_PMIX_WHY])
{
	tutti_status status, published = TUTTI_OK;
	char fence_why[TT_PMIX_WHY] = "";
	struct timespec deadline;
	const struct timespec *limit = timeout_ms < 0 ? NULL : &deadline;

	if (limit != NULL)
		deadline_after(timeout_ms, &deadline);
	status = open_session(why);
	if (status != TUTTI_OK)
		return status;
	if (session.broken) {
		snprintf(why, TT_PMIX_WHY, "the ranks are out of step with each other since an earlier failure");
		return TUTTI_ERR_STATE;
	}
	if (rank == 0)
		published = publish(key, value, bytes, why);
	/* Also if that failed: the others wait there, and then find nothing. */
	status = fence(limit, fence_why);
	session.broken = status == TUTTI_ERR_TIMEOUT;
	if (published != TUTTI_OK)
		return published;
	if (status != TUTTI_OK) {
		memcpy(why, fence_why, TT_PMIX_WHY);
		return status;
	}
	return rank == 0 ? TUTTI_OK : fetch(key, value, bytes, limit, why);
}

/* Fences are matched by their order: one thread at a time. */
static tutti_status
exchange(int rank, const char *key, void *value, size_t bytes, int64_t timeout_ms, char why[TT_PMIX_WHY])
{
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	tutti_status status;

	pthread_mutex_lock(&turn);
	status = exchange_alone(rank, key, value, bytes, timeout_ms, why);
	pthread_mutex_unlock(&turn);
	return status;
}

__attribute__((visibility("default")))
const struct tt_pmix_plugin tutti_pmix_plugin = {sizeof(struct tt_pmix_plugin), job, exchange};
