/* SPDX-License-Identifier: Apache-2.0
 *
 * cli.h - what the commands of the `tutti` program share: exit status, complaints, reading of numbers.
 *
 * Results go to stdout, everything else to stderr. A wrong command line ends with one sentence and status 2.
 */
#ifndef TT_CLI_CLI_H
#define TT_CLI_CLI_H

#include <tutti/tutti.h>

#include "base/port.h"

enum {
	TT_EXIT_OK = 0,
	TT_EXIT_FAILURE = 1,
	TT_EXIT_USAGE = 2,
	TT_EXIT_TIMEOUT = 124,
	TT_EXIT_CANNOT_RUN = 126,
	TT_EXIT_NOT_FOUND = 127,
};

/* A command gets its own name as argv[0], and returns an exit status. */
struct tt_command {
	const char *name;
	const char *summary; /* one line for `tutti --help` */
	int (*main)(int argc, char **argv);
};

extern const struct tt_command tt_commands[]; /* ends with a NULL name */

int tt_run_main(int argc, char **argv);
int tt_bench_main(int argc, char **argv);
int tt_env_main(int argc, char **argv);
int tt_explain_main(int argc, char **argv);
int tt_topo_main(int argc, char **argv);
int tt_sim_main(int argc, char **argv);
int tt_tune_main(int argc, char **argv);

/* "tutti COMMAND: sentence" and where to read more, on stderr. Returns TT_EXIT_USAGE. */
int tt_usage(const char *command, const char *format, ...) TT_PRINTF(2, 3);
/* The same for what getopt_long has just refused ('?' or ':' with its opterr off). */
int tt_usage_getopt(const char *command, char **argv, int result);
/* "tutti COMMAND: sentence" on stderr. Returns TT_EXIT_FAILURE. */
int tt_complain(const char *command, const char *format, ...) TT_PRINTF(2, 3);

/* A whole number in [least, most]; false if the text is none. */
bool tt_read_int(const char *text, long least, long most, long *value);
/* A number of seconds, > 0. */
bool tt_read_seconds(const char *text, double *value);

#endif /* TT_CLI_CLI_H */
