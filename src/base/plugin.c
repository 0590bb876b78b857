/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - finds and loads plug-ins.
 *
 * The program's signals stay the program's: libraries that a plug-in brings along may take some for themselves as soon as
 * they are loaded (Debian's libfabric brings two that catch crashes, SIGINT and SIGTERM, and leave files behind). Such
 * handlers are taken out again.
 */
#include "base/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/port.h"

#define MOST_OBJECTS 1024 /* with more than that, nothing is taken out */

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

/* What the program does on each signal, and which code was there then. */
struct before {
	struct sigaction actions[NSIG];
	bool known[NSIG];
	uintptr_t objects[MOST_OBJECTS];
	int nobjects;
};

static int
note_object(struct dl_phdr_info *info, size_t bytes, void *context)
{
	struct before *before = context;

	(void)bytes;
	if (before->nobjects < MOST_OBJECTS)
		before->objects[before->nobjects++] = (uintptr_t)info->dlpi_addr;
	return 0;
}

static void
note_signals(struct before *before)
{
	*before = (struct before){.nobjects = 0};
	for (int s = 1; s < NSIG; s++)
		before->known[s] = sigaction(s, NULL, &before->actions[s]) == 0;
	(void)dl_iterate_phdr(note_object, before);
}

/* Is it a function of something that was loaded since? */
static bool
is_new(const struct before *before, void (*handler)(int))
{
	Dl_info info;
	void *at;

	if (handler == SIG_DFL || handler == SIG_IGN || handler == SIG_ERR || before->nobjects == MOST_OBJECTS)
		return false;
	/* A function's address comes as a pointer to an object. */
	memcpy(&at, &handler, sizeof(at));
	if (dladdr(at, &info) == 0)
		return false;
	for (int i = 0; i < before->nobjects; i++)
		if (before->objects[i] == (uintptr_t)info.dli_fbase)
			return false;
	return true;
}

static void
give_signals_back(const struct before *before)
{
	for (int s = 1; s < NSIG; s++) {
		struct sigaction now;

		if (before->known[s] && sigaction(s, NULL, &now) == 0 && is_new(before, now.sa_handler))
			(void)sigaction(s, &before->actions[s], NULL);
	}
}

tutti_status
tt_plugin_load(const char *path, const char *symbol, void **address)
{
	struct before before;
	void *handle, *found;

	note_signals(&before);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	give_signals_back(&before);
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
