/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the `tutti` program: finds the command and hands over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static int
print_help(FILE *file)
{
	fputs("Usage: tutti COMMAND [OPTION...]\n"
	      "\n"
	      "Tutti moves tensors between the ranks of a job in host memory.\n"
	      "\n",
	    file);
	for (const struct tt_command *command = tt_commands; command->name != NULL; command++)
		fprintf(file, "  %-9s %s\n", command->name, command->summary);
	fputs("\n"
	      "  --help     show this text; tutti COMMAND --help says more about one\n"
	      "  --version  show the version\n",
	    file);
	return TT_EXIT_OK;
}

static int
print_version(void)
{
	int major, minor, patch;

	tutti_version(&major, &minor, &patch);
	printf("tutti %d.%d.%d\n", major, minor, patch);
	return TT_EXIT_OK;
}

/* A closed descriptor 0, 1 or 2 would be given to the next pipe, and then taken for the user's. */
static void
hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static int
run_command(int argc, char **argv)
{
	const char *name = argv[1];

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		return print_help(stdout);
	if (strcmp(name, "--version") == 0)
		return print_version();
	for (const struct tt_command *command = tt_commands; command->name != NULL; command++) {
		if (strcmp(name, command->name) == 0)
			return command->main(argc - 1, argv + 1);
	}
	return tt_usage("", "there is no %s '%s'", name[0] == '-' ? "option" : "command", name);
}

int
main(int argc, char **argv)
{
	int status;

	hold_standard_descriptors();
	if (argc < 2) {
		print_help(stderr);
		return TT_EXIT_USAGE;
	}
	status = run_command(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "tutti: cannot write the results: %s\n", strerror(errno));
		return status != 0 ? status : TT_EXIT_FAILURE;
	}
	return status;
}
