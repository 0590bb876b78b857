/* SPDX-License-Identifier: Apache-2.0
 *
 * hostlist.h - the two small languages in which Slurm's environment speaks of nodes.
 */
#ifndef TT_BOOTSTRAP_HOSTLIST_H
#define TT_BOOTSTRAP_HOSTLIST_H

#include <tutti/tutti.h>

/* The first host of "n[1-3,07],rack[1-2]n[01-16],m2" and how many hosts there are (no more than INT_MAX are
 * counted). ERR_ARGUMENT says at which character the list stops to make sense, or that the name does not fit. */
tutti_status tt_hostlist_first(const char *list, char *host, size_t bytes, int *count);

/* How many tasks node number `node` has in "2(x3),1"; -1 if the text does not say. */
int tt_tasks_of_node(const char *text, int node);

#endif /* TT_BOOTSTRAP_HOSTLIST_H */
