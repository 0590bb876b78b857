/* SPDX-License-Identifier: Apache-2.0
 *
 * commands.c - the table of commands.
 */
#include "cli/cli.h"

const struct tt_command tt_commands[] = {
    {"run", "start the ranks of a job on this machine", tt_run_main},
    {"bench", "measure collectives, with nccl-tests' flags and columns", tt_bench_main},
    {"topo", "show the machine, where the ranks sit, and what joins them", tt_topo_main},
    {"explain", "say which algorithm would be chosen, and why", tt_explain_main},
    {"tune", "measure this machine, for better choices", tt_tune_main},
    {"sim", "price collectives on machines that are not here", tt_sim_main},
    {"env", "list every setting, its value, and where it came from", tt_env_main},
    {NULL, NULL, NULL},
};
