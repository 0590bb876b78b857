/* SPDX-License-Identifier: Apache-2.0
 *
 * shortcut.h - the shortest way of a small blocking call that was made before: straight into the node stage.
 *
 * Where all ranks share memory and the plan of a call is one step of the node stage, a request, the queue and the
 * executor only tell each other what is known already. So a call that finds nothing pending starts the stage's job
 * itself and looks for its end for a few microseconds. If that was not enough, or anything is not as usual, the
 * request is made after all, takes the job over as it stands, and goes the long way: every check, deadline and
 * error is there.
 *
 * What the call's arguments have in common with the one before, which has been checked, is not checked again: the same
 * collective, count, type, operator and root. The buffers are.
 *
 * The rule that keeps it correct: for the other ranks there is no difference. The call takes the same number, says the
 * same mark, and is remembered for an inquest.
 */
#ifndef TT_COMM_SHORTCUT_H
#define TT_COMM_SHORTCUT_H

#include "comm/call.h"
#include "engine/executor.h"

/* Of a call's kind, all that does not change from call to call. */
struct tt_shortcut {
	bool open; /* false: there is none */
	bool in_pieces, out_pieces; /* send or recv has a row for each member */
	size_t row_bytes;
	size_t in_bytes, out_bytes; /* of this rank's send and recv */
	ptrdiff_t place; /* in place recv begins so far behind send */
	struct tt_call call; /* but for the number */
	struct tt_node_job job; /* but for addresses and the mark */
};

#endif /* TT_COMM_SHORTCUT_H */
