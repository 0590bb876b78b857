/* SPDX-License-Identifier: Apache-2.0
 *
 * node_far.c - large jobs that only move, out of memory that only its owner has mapped: the kernel copies it, once.
 *
 *	through slots   owner's memory ──► slot ──► reader's memory        two copies, one of each side, overlapping
 *	from afar       owner's memory ───────────► reader's memory        one, by the reader
 *
 * The owner's line says where its memory is in its own process; who has met it reads from there when it likes, in as
 * large pieces as it likes. Nothing else is new: the owner counts FILLED to the end at once and leaves when all others
 * have counted TAKEN to the end, as if its memory were in reach (node_large.c).
 *
 * Why it is correct. What the owner has written before is there, because its line was published with release and met
 * with acquire before the system call. The kernel has copied when the call returns, and TAKEN is stored with release
 * after that; so the owner, which has loaded it with acquire, may write again.
 * A job that fails is another matter: its owner leaves at once, and its program may write, free or unmap what others
 * still read. They would read anything, or an error, but nobody is hurt: the memory of others is never written, and the
 * kernel checks every address (so this is the way among threads of one process, too). Only, nobody may believe it:
 *
 *	owner                               reader
 *	withdrawn = this job                reads the memory
 *	fence                               fence
 *	returns; the program writes         withdrawn? of this job or one before: never ends it
 *
 * If the reader has read what was written after the return, it sees the withdrawal: the fences order each side, and
 * what the second reader of a chain is told comes after that. The job then has no end but the failure, which the owner
 * has made known before it withdrew. tests/models/withdraw.pml is this as a model.
 */
#include <errno.h>

#include "base/checked.h"
#include "base/error.h"
#include "engine/node_large.h"
#include "engine/node_stage_parts.h"

void
tt_node_stage_use_remotes(struct tt_node_stage *s, const struct tt_remote *remotes)
{
	s->large.remotes = remotes;
}

/* ---- which jobs ----------------------------------------------------------------------------------------------------- */

static enum tt_collective
collective_of(enum tt_step_kind kind)
{
	switch (kind) {
	case TT_NODE_ALL_TO_ALL:
		return TT_ALL_TO_ALL;
	case TT_NODE_ALL_GATHER:
		return TT_ALL_GATHER;
	case TT_NODE_SCATTER:
		return TT_SCATTER;
	default:
		return TT_COLLECTIVES; /* of no other does the stage read rows from afar */
	}
}

bool
tt_far_is(const struct tt_node_stage *s, enum tt_step_kind kind, size_t longest)
{
	return s->large.remotes != NULL &&
	       tt_stage_reads_far(&s->large.facts, collective_of(kind), s->members, longest);
}

bool
tt_far_offers(struct tt_node_stage *s, const void *from, size_t bytes)
{
	struct tt_stage_large *l = &s->large;

	if (bytes > 0 && from == l->offered && bytes == l->offered_bytes && tt_remote_still(&l->remotes[s->me]))
		return true;
	if (bytes == 0 || !tt_remote_offers(&l->remotes[s->me], from, bytes))
		return false;
	l->offered = from;
	l->offered_bytes = bytes;
	return true;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

/* Does this member take anything out of slots? It does not look at what the others have not told it. */
static bool
takes_from_slots(const struct tt_node_stage *s)
{
	for (int j = 0; j < s->members; j++)
		if ((s->job.kind != TT_NODE_SCATTER || j == s->job.root) && s->large.views[j].in == NULL &&
		    s->large.views[j].far == 0)
			return true;
	return false;
}

void
tt_far_begin(struct tt_node_stage *s)
{
	struct tt_stage_large *l = &s->large;

	l->run = 1;
	if (l->single && !takes_from_slots(s))
		l->run = tt_max_size(
		    1, tt_max_size((size_t)l->facts.run_least, (size_t)l->facts.run_most / (size_t)s->members) /
			   l->chunk);
}

void
tt_far_read(struct tt_node_stage *s, int member, size_t at, unsigned char *to, size_t bytes)
{
	struct tt_stage_large *l = &s->large;

	if (l->refusal != 0)
		return;
	l->refusal = tt_remote_read(&l->remotes[member], to, l->views[member].far + at, bytes);
	l->refusing = member;
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

static bool
has_withdrawn(const struct tt_node_stage *s, int member)
{
	const uint64_t job = tt_load_relaxed(&s->large.flows[member].withdrawn);

	return job != 0 && job <= s->first + 1;
}

bool
tt_far_withdrawn(const struct tt_node_stage *s)
{
	tt_fence_seq_cst(); /* pairs with the one in tt_node_stage_withdraw() */
	for (int j = 0; j < s->members; j++)
		if (TT_UNLIKELY(has_withdrawn(s, j)))
			return true;
	return false;
}

void
tt_node_stage_withdraw(struct tt_node_stage *s)
{
	tt_atomic_u64 *withdrawn = &s->large.flows[s->me].withdrawn;

	if (tt_load_relaxed(withdrawn) == 0)
		tt_store_relaxed(withdrawn, (s->phase == TT_STAGE_ENDED ? s->tick : s->first) + 1);
	tt_fence_seq_cst(); /* pairs with the one in tt_far_withdrawn(): before what the program does next */
}

/* Not all that this member gives in this job is where the others find it, or they read it, or there are ticks to come. */
bool
tt_node_stage_is_owed(const struct tt_node_stage *s)
{
	const bool from_root = s->job.kind == TT_NODE_BROADCAST || s->job.kind == TT_NODE_SCATTER;
	const bool silent = s->phase == TT_STAGE_ENTER && (!from_root || s->job.root == s->me);

	return s->phase != TT_STAGE_ENDED &&
	       (s->is_large || s->two_shot || silent || s->now + 1 < s->end || tt_groups_owe(s));
}

static const char *
reason(int refusal)
{
	switch (refusal) {
	case ENOMEM:
		return "the kernel has no memory for it";
	case ESRCH:
		return "its process is gone";
	case EFAULT:
		return "it is not there any more, or of a kind that only its owner can read";
	default:
		return "the kernel forbids it, as it did not when the communicator was created";
	}
}

tutti_status
tt_far_refused(const struct tt_node_stage *s)
{
	const struct tt_stage_large *l = &s->large;
	const int rank = s->ranks[l->refusing];

	if (has_withdrawn(s, l->refusing))
		return TUTTI_IN_PROGRESS;
	return tt_fail(TUTTI_ERR_PEER, rank,
	    "the memory of rank %d (process %d) cannot be read: %s; with TUTTI_CMA=0 it need not be", rank,
	    (int)l->remotes[l->refusing].pid, reason(l->refusal));
}
