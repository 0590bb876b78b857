/* SPDX-License-Identifier: Apache-2.0
 *
 * job_operators.c - operators that programs create, on ranks that are processes or threads.
 */
#include "operators.h"

int
main(int argc, char **argv)
{
	const struct scenario *const lists[] = {custom_scenarios, premul_scenarios, dispute_scenarios, NULL};

	return scenario_main(argc, argv, lists);
}
