/* SPDX-License-Identifier: Apache-2.0
 *
 * pmix_client.c - finds, loads and asks the plug-in tutti-pmix.so.
 *
 * It is looked for relative to this library first, so that a copied or uninstalled tree works, then where it was to
 * be installed. It is loaded once and stays: its session with the server ends with the process.
 */
#include "bootstrap/pmix_client.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "bootstrap/pmix/plugin.h"

#define FILE_NAME "tutti-pmix.so"

static struct {
	pthread_once_t once;
	const struct tt_pmix_plugin *table; /* NULL: not there */
	char why[TT_PMIX_WHY];
} plugin = {.once = PTHREAD_ONCE_INIT, .why = "the plug-in " FILE_NAME " is not installed"};

/* false: go on looking. */
static bool
load(const char *path)
{
	const struct tt_pmix_plugin *table;
	void *handle;

	if (access(path, R_OK) != 0)
		return false;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		snprintf(plugin.why, sizeof(plugin.why), "the plug-in cannot be loaded: %s", dlerror());
		return false;
	}
	table = dlsym(handle, TT_PMIX_SYMBOL);
	if (table == NULL || table->size != sizeof(*table)) {
		snprintf(plugin.why, sizeof(plugin.why), "%s belongs to another version of tutti", path);
		dlclose(handle);
		return false;
	}
	plugin.table = table;
	return true;
}

/* In the folders where it is installed, where a package may move it, and where it is built. */
static void
find(void)
{
	static const char *const beside[] = {"tutti/", "", "bootstrap/pmix/"};
	static const char here;
	char path[PATH_MAX];
	const char *slash;
	Dl_info info;

	if (dladdr(&here, &info) != 0 && info.dli_fname != NULL && (slash = strrchr(info.dli_fname, '/')) != NULL) {
		for (size_t i = 0; i < TT_COUNT_OF(beside); i++) {
			snprintf(path, sizeof(path), "%.*s/%s" FILE_NAME, (int)(slash - info.dli_fname),
			    info.dli_fname, beside[i]);
			if (load(path))
				return;
		}
	}
	load(TT_PLUGIN_DIR "/" FILE_NAME);
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
