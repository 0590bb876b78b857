/* SPDX-License-Identifier: Apache-2.0
 *
 * job_splits.c - communicators out of communicators, on ranks that are processes or threads.
 */
#include "splits.h"

int
main(int argc, char **argv)
{
	const struct scenario *const lists[] = {children_scenarios, fate_scenarios, family_scenarios, NULL};

	return scenario_main(argc, argv, lists);
}
