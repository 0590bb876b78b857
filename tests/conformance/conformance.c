/* SPDX-License-Identifier: Apache-2.0
 *
 * conformance.c - the program: runs all promises against one transport and prints TAP.
 *
 *     conformance TRANSPORT [--chaos SEED] [--ranks N] [--processes] [--only WORD] [--seed N] [--interfaces LIST]
 *                 [--provider NAME] [--connections N] [--checksum] [--apart]
 *
 * TRANSPORT is a name that is built in, or the path of a plug-in (anything with a slash).
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chaos.h"
#include "promises.h"
#include "shm/shm.h"
#include "tcp/tcp.h"

static const struct {
	const char *name;
	tutti_transport_entry entry;
} built_in[] = {
    {"shm", tt_transport_shm},
    {"tcp", tt_transport_tcp},
};

struct arguments {
	const char *transport, *only;
	struct kit_options options;
	uint64_t chaos;
	bool with_chaos;
};

static int
usage(void)
{
	fprintf(stderr,
	    "usage: conformance TRANSPORT [--chaos SEED] [--ranks N] [--processes] [--only WORD] [--seed N]\n"
	    "                   [--interfaces LIST] [--provider NAME]\n"
	    "                   [--connections N] [--checksum] [--apart]\n"
	    "TRANSPORT: a plug-in's path, or one of:");
	for (size_t i = 0; i < TT_COUNT_OF(built_in); i++)
		fprintf(stderr, " %s", built_in[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static bool
parse_number(const char *text, uint64_t most, uint64_t *number)
{
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 0);
	return errno == 0 && *end == '\0' && *number <= most;
}

/* One option at argv[*at]; steps over its value. */
static bool
parse_option(struct arguments *arguments, char **argv, int *at)
{
	const char *option = argv[*at], *value = argv[*at + 1];
	uint64_t number = 0;

	if (strcmp(option, "--processes") == 0) {
		arguments->options.processes = true;
		return true;
	}
	/* Processes of a transport that cannot be used by children of whoever has used it: RDMA cards. */
	if (strcmp(option, "--apart") == 0) {
		arguments->options.processes = arguments->options.apart = true;
		return true;
	}
	if (strcmp(option, "--checksum") == 0) {
		arguments->options.checksum = 1;
		return true;
	}
	++*at;
	if (strcmp(option, "--only") == 0)
		return (arguments->only = value) != NULL;
	if (strcmp(option, "--interfaces") == 0)
		return (arguments->options.interfaces = value) != NULL;
	if (strcmp(option, "--provider") == 0)
		return (arguments->options.provider = value) != NULL;
	if (strcmp(option, "--ranks") == 0) {
		if (!parse_number(value, KIT_RANKS, &number) || number == 0)
			return false;
		arguments->options.nranks = (int)number;
		return true;
	}
	if (strcmp(option, "--connections") == 0) {
		if (!parse_number(value, 1000, &number))
			return false;
		arguments->options.connections = (int)number;
		return true;
	}
	if (!parse_number(value, UINT64_MAX, &number))
		return false;
	if (strcmp(option, "--chaos") == 0) {
		arguments->with_chaos = true;
		arguments->chaos = number;
		return true;
	}
	arguments->options.seed = number;
	return strcmp(option, "--seed") == 0;
}

static bool
parse(struct arguments *arguments, int argc, char **argv)
{
	for (int at = 1; at < argc; at++) {
		if (strncmp(argv[at], "--", 2) == 0) {
			if (!parse_option(arguments, argv, &at))
				return false;
		} else if (arguments->transport == NULL) {
			arguments->transport = argv[at];
		} else {
			return false;
		}
	}
	return arguments->transport != NULL;
}

static const tutti_transport *
find_transport(const char *name)
{
	tutti_transport_entry entry = NULL;

	for (size_t i = 0; i < TT_COUNT_OF(built_in); i++) {
		if (strcmp(name, built_in[i].name) == 0)
			return built_in[i].entry();
	}
	if (strchr(name, '/') != NULL) {
		void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
		void *symbol = library == NULL ? NULL : dlsym(library, TUTTI_TRANSPORT_ENTRY);

		if (symbol == NULL)
			fprintf(stderr, "%s\n", dlerror());
		/* A function's address comes as a pointer to an object. */
		memcpy(&entry, &symbol, sizeof(entry));
	}
	return entry == NULL ? NULL : entry();
}

static bool
run_promise(const tutti_transport *transport, const struct arguments *arguments, size_t i, size_t number)
{
	const struct kit_promise *promise = &kit_promises[i];
	char why[512] = "";
	const enum kit_result result = kit_run(transport, promise, &arguments->options, why, sizeof(why));

	printf("%s %zu - %s%s%s\n", result == KIT_BROKEN ? "not ok" : "ok", number, promise->name,
	    result == KIT_SKIPPED ? " # SKIP " : "", result == KIT_SKIPPED ? why : "");
	if (result == KIT_BROKEN)
		printf("# %s\n", why);
	fflush(stdout);
	return result != KIT_BROKEN;
}

int
main(int argc, char **argv)
{
	struct arguments arguments = {.options = {.nranks = 3, .seed = 1, .interfaces = "lo"}};
	const tutti_transport *transport;
	size_t planned = 0, number = 0, broken = 0;

	if (!parse(&arguments, argc, argv) || (transport = find_transport(arguments.transport)) == NULL)
		return usage();
	if (arguments.with_chaos)
		transport = tt_chaos(transport, arguments.chaos);
	for (size_t i = 0; i < kit_npromises; i++)
		planned += arguments.only == NULL || strstr(kit_promises[i].name, arguments.only) != NULL;
	printf("1..%zu\n", planned);
	for (size_t i = 0; i < kit_npromises; i++) {
		if (arguments.only == NULL || strstr(kit_promises[i].name, arguments.only) != NULL)
			broken += !run_promise(transport, &arguments, i, ++number);
	}
	return broken == 0 ? 0 : 1;
}
