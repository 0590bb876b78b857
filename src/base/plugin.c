/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - finds and loads plug-ins.
 */
#include "base/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/port.h"

static bool
is_there(const char *folder, size_t folder_bytes, const char *below, const char *file, char *path, size_t bytes)
{
	const int n = snprintf(path, bytes, "%.*s/%s%s", (int)folder_bytes, folder, below, file);

	return n > 0 && (size_t)n < bytes && access(path, R_OK) == 0;
}

tutti_status
tt_plugin_find(const char *file, const char *folder, const char *built, char *path, size_t bytes)
{
	static const char here;
	const char *const beside[] = {"tutti/", "", built};
	const char *slash;
	Dl_info info;

	if (folder != NULL) {
		if (is_there(folder, strlen(folder), "", file, path, bytes))
			return TUTTI_OK;
		return tt_fail(
		    TUTTI_ERR_UNSUPPORTED, -1, "the plug-in %s is not in %s (TUTTI_PLUGINS)", file, folder);
	}
	if (dladdr(&here, &info) != 0 && info.dli_fname != NULL && (slash = strrchr(info.dli_fname, '/')) != NULL) {
		const size_t length = (size_t)(slash - info.dli_fname);

		for (size_t i = 0; i < TT_COUNT_OF(beside); i++)
			if (is_there(info.dli_fname, length, beside[i], file, path, bytes))
				return TUTTI_OK;
	}
	if (is_there(TT_PLUGIN_DIR, strlen(TT_PLUGIN_DIR), "", file, path, bytes))
		return TUTTI_OK;
	return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
	    "the plug-in %s is not installed: it is neither beside the library nor in " TT_PLUGIN_DIR
	    " (TUTTI_PLUGINS names another folder)",
	    file);
}

tutti_status
tt_plugin_load(const char *path, const char *symbol, void **address)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	void *found;

	if (handle == NULL)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "the plug-in cannot be loaded: %.200s", dlerror());
	found = dlsym(handle, symbol);
	if (found == NULL) {
		dlclose(handle);
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "%s is no plug-in of tutti: it has no %s", path, symbol);
	}
	*address = found;
	return TUTTI_OK;
}
