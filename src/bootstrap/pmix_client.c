/* SPDX-License-Identifier: Apache-2.0
 *
 * pmix_client.c - finds, loads and asks the plug-in tutti-pmix.so.
 *
 * It is loaded once and stays: its session with the server ends with the process.
 */
#include "bootstrap/pmix_client.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/plugin.h"
#include "bootstrap/pmix/plugin.h"

#define FILE_NAME "tutti-pmix.so"

static struct {
	pthread_once_t once;
	const struct tt_pmix_plugin *table; /* NULL: not there */
	char why[TT_PMIX_WHY];
} plugin = {.once = PTHREAD_ONCE_INIT, .why = "the plug-in " FILE_NAME " is not installed"};

static void
find(void)
{
	const struct tt_pmix_plugin *table;
	char path[PATH_MAX];
	void *symbol;

	if (tt_plugin_find(FILE_NAME, NULL, "bootstrap/pmix/", path, sizeof(path)) != TUTTI_OK ||
	    tt_plugin_load(path, TT_PMIX_SYMBOL, &symbol) != TUTTI_OK) {
		snprintf(plugin.why, sizeof(plugin.why), "%.*s", TT_PMIX_WHY - 1, tt_last_error()->message);
		return;
	}
	table = symbol;
	if (table->size != sizeof(*table))
		snprintf(plugin.why, sizeof(plugin.why), "%.200s belongs to another version of tutti", path);
	else
		plugin.table = table;
}

static tutti_status
find_once(void)
{
	pthread_once(&plugin.once, find);
	return plugin.table != NULL ? TUTTI_OK : tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "%s", plugin.why);
}

tutti_status
tt_pmix_job(int *size, int *local_rank, int *local_size)
{
	char why[TT_PMIX_WHY] = "";
	tutti_status status;

	TT_TRY(find_once());
	status = plugin.table->job(size, local_rank, local_size, why);
	if (status != TUTTI_OK)
		return tt_fail(status, -1, "%s", why);
	if (*size < 1)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
		    "the PMIx server does not say how many ranks the job has: set TUTTI_RANK, TUTTI_SIZE and "
		    "TUTTI_ROOT");
	return TUTTI_OK;
}

tutti_status
tt_pmix_exchange(void *context, int rank, tutti_unique_id *id, int64_t deadline_ns)
{
	int64_t timeout_ms = -1;
	char why[TT_PMIX_WHY] = "";
	tutti_status status;
	char key[32];

	TT_TRY(find_once());
	if (deadline_ns != TT_FOREVER) {
		timeout_ms = (deadline_ns - tt_now_ns() + TT_MS - 1) / TT_MS;
		if (timeout_ms < 0)
			timeout_ms = 0;
	}
	snprintf(key, sizeof(key), "tutti-id-%u", *(const unsigned *)context);
	status = plugin.table->exchange(rank, key, id->bytes, sizeof(id->bytes), timeout_ms, why);
	return status == TUTTI_OK ? TUTTI_OK : tt_fail(status, -1, "%s", why);
}
