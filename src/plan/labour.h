/* SPDX-License-Identifier: Apache-2.0
 *
 * labour.h - what a step of the node stage gives its members to do.
 */
#ifndef TT_PLAN_LABOUR_H
#define TT_PLAN_LABOUR_H

#include "plan/plan.h"

/* Seconds of the busiest member, and of all together. */
struct tt_labour {
	double busiest, all;
	double meetings; /* after the first */
};

/* dst, src: bytes of the spans of a member that has them, 0 = none. */
struct tt_labour tt_labour_of(
    const struct tt_machine *machine, enum tt_step_kind kind, double dst, double src, double members);
/* A meeting of a node's ranks. */
double tt_machine_meet(const struct tt_machine *machine);
/* A byte copied from a rank's own memory to its own. */
double tt_machine_kept(const struct tt_machine *machine);

#endif /* TT_PLAN_LABOUR_H */
