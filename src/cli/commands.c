/* SPDX-License-Identifier: Apache-2.0
 *
 * commands.c - the table of commands.
 */
#include "cli/cli.h"

const struct tt_command tt_commands[] = {
    {"run", "start the ranks of a job on this machine", tt_run_main},
    {NULL, NULL, NULL},
};
