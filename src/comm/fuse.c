/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse.c - how ranks agree to run many small all-reduces of a group as one, at no cost.
 *
 *	queue        s          s+1  s+2 ... s+k         s+k+1 ...
 *	runs as      itself     one run over k members   ...
 *	its note     "k, and a digest of s+1 ... s+k"    the same of what follows
 *
 * A group here may meet single calls there, so a rank cannot know from its own calls what the others will run. Hence:
 * every small all-reduce, in a group or not, carries a note: how many members of the same group behind it this rank
 * could run as one, and a digest of them; 0 = none. On its way through the operation a note stays what it is as long
 * as every rank that has been heard of says the same, else it becomes 0 (executor.c). The members run as one if the
 * operation ends with this rank's note, and one by one if it ends with 0.
 *
 * Why it is sound:
 *   - All ranks decide alike. In an all-reduce every rank's result depends on every rank's contribution, so every rank
 *     has heard of every note, and "all the same, or 0" does not depend on the order or on how often it is heard.
 *     What a note says is fixed before its operation starts; it is judged when that has ended.
 *   - All ranks can. Equal notes mean that each rank has these k operations in its queue, in this order and with
 *     these counts, right behind: nothing has to be guessed, and nothing is waited for. A rank that calls singly, or has
 *     groups that end elsewhere, says something else: then there is no fused run.
 *   - Nothing is lost. Which operations carry notes follows from the call, which their marks compare. Members keep their
 *     numbers; those that differ between ranks have different digests, run one by one, and the first one that
 *     differs is found there.
 *
 * tests/models/notes.pml is a model of this.
 *
 * The first member of a group runs alone, for it brings the agreement. A fused run brings the next one.
 */
#include "comm/fuse.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/comm.h"

#define NOTE_BYTES ((size_t)64 << 10) /* larger all-reduces carry no notes: there is little to win behind them */
#define MEMBER_BYTES ((size_t)16 << 10) /* larger members are better off alone */
#define RUN_BYTES ((size_t)256 << 10) /* of all members of a run */

static size_t
call_bytes(const struct tt_call *call)
{
	const size_t element = tt_dtype_size((tutti_dtype)call->dtype);

	return call->count > SIZE_MAX / element ? SIZE_MAX : (size_t)call->count * element;
}

bool
tt_fuse_has_note(const tutti_comm *comm, const struct tt_call *call)
{
	return call->collective == TT_ALL_REDUCE && call->count > 0 && comm->size > 1 &&
	       call_bytes(call) <= NOTE_BYTES;
}

bool
tt_fuse_allows(const tutti_comm *comm, const struct tt_call *call, const tutti_options *options)
{
	return call->collective == TT_ALL_REDUCE && comm->size > 1 && call_bytes(call) <= MEMBER_BYTES &&
	       (options == NULL || options->algorithm == NULL);
}

/* ---- notes ---------------------------------------------------------------------------------------------------- */

static uint64_t
mix(uint64_t h)
{
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	return h ^ (h >> 31);
}

/* Depends on the operation's number too, so that a sum of them says which calls in which order. */
static uint64_t
digest(const struct tt_call *call)
{
	const uint64_t what =
	    (uint64_t)call->dtype << 32 | (uint64_t)call->op << 24 | (uint64_t)call->op_number << 8 | call->flags;

	return mix(mix(mix(call->sequence) + call->count) + what);
}

/* The members behind one, as many as can run as one. */
struct window {
	tutti_request *end; /* the first one that is not in it */
	uint32_t members;
	size_t bytes;
	uint64_t digest;
};

static bool
alike(const tutti_request *a, const tutti_request *b)
{
	return a->call.dtype == b->call.dtype && a->call.op == b->call.op && a->op == b->op;
}

static void
widen(struct window *w, const tutti_request *first)
{
	while (w->end != NULL && w->end->fusable && w->members < TT_FUSE_MOST) {
		const size_t bytes = call_bytes(&w->end->call);

		if (w->bytes + bytes > RUN_BYTES || (w->members > 0 && !alike(first, w->end)))
			return;
		w->members++;
		w->bytes += bytes;
		w->end->digest = digest(&w->end->call);
		w->digest += w->end->digest;
		w->end = w->end->next;
	}
}

static void
leave_behind(struct window *w, const tutti_request *first)
{
	w->members--;
	w->bytes -= call_bytes(&first->call);
	w->digest -= first->digest;
}

static bool
has_room(tutti_comm *comm)
{
	void *memory;

	if (comm->fuse.portions != NULL)
		return true;
	if (tt_alloc(TT_FUSE_MOST, sizeof(struct tt_portion), "the members of a fused operation", &memory) !=
	    TUTTI_OK)
		return false;
	comm->fuse.portions = memory;
	return true;
}

void
tt_fuse_note(tutti_comm *comm, tutti_request *first)
{
	struct window w = {.end = first};

	for (tutti_request *request = first; request != NULL; request = request->next) {
		if (w.members > 0)
			leave_behind(&w, request);
		else
			w.end = request->next;
		widen(&w, request->next);
		/* Without memory there is nothing to tell: the members then run one by one, on all ranks. */
		if (request->run.has_note && w.members > 1 && w.bytes > 0 && has_room(comm))
			request->run.note = (w.digest & ~(uint64_t)TT_FUSE_MOST) | w.members;
	}
}

/* ---- the run ---------------------------------------------------------------------------------------------------- */

/* Adds a member's memory behind the others'. */
static uint32_t
append(struct tt_portion *portions, uint32_t n, const tutti_request *member, size_t begin)
{
	const struct tt_operands *operands = &member->run.operands;
	const size_t bytes = call_bytes(&member->call);
	struct tt_portion *last = &portions[n == 0 ? 0 : n - 1];

	if (bytes == 0)
		return n;
	if (n > 0 && last->in + last->bytes == operands->in.base && last->out + last->bytes == operands->out.base) {
		last->bytes += bytes; /* adjacent in memory, too */
		return n;
	}
	portions[n] = (struct tt_portion){operands->in.base, operands->out.base, begin, bytes};
	return n + 1;
}

/* The members' memory, one after the other. Returns how many portions; *last is the last member. */
static uint32_t
line_up(const tutti_comm *comm, uint32_t members, size_t *bytes, const tutti_request **last)
{
	const tutti_request *member = comm->head;
	uint32_t n = 0;

	*bytes = 0;
	for (uint32_t i = 0; i < members; i++, member = member->next) {
		assert(member != NULL && member->fusable);
		n = append(comm->fuse.portions, n, member, *bytes);
		*bytes += call_bytes(&member->call);
		*last = member;
	}
	return n;
}

/* A plan is for operands that are all in place or all apart. In a mixture those that are apart are brought to where
 * their results will be, which many plans would begin with. */
static bool
bring_in_place(struct tt_portion *portions, uint32_t n)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++)
		any = any || portions[i].in == portions[i].out;
	for (uint32_t i = 0; i < n && any; i++) {
		if (portions[i].in != portions[i].out)
			memcpy(portions[i].out, portions[i].in, portions[i].bytes);
		portions[i].in = portions[i].out;
	}
	return any;
}

tutti_status
tt_fuse_members(tutti_comm *comm, uint64_t note)
{
	const tutti_request *last = comm->head;
	tutti_request *head = comm->head;
	const uint32_t members = (uint32_t)(note & TT_FUSE_MOST);
	struct tt_portion *portions = comm->fuse.portions;
	struct tt_intent intent = {
	    .collective = TT_ALL_REDUCE, .dtype = (tutti_dtype)head->call.dtype, .op = (tutti_op)head->call.op};
	const struct tt_call own = head->call;
	uint32_t n;
	size_t bytes;

	n = line_up(comm, members, &bytes, &last);
	intent.count = bytes / tt_dtype_size(intent.dtype);
	intent.in_place = bring_in_place(portions, n);
	intent.send = portions[0].in;
	intent.recv = portions[0].out;
	TT_TRY(tt_comm_prepare_again(comm, &intent, head));
	head->run.operands.in_portions = true;
	if (n > 1) {
		head->run.operands.portions = portions;
		head->run.operands.nportions = n;
	}
	head->members_too = members;
	head->run.has_note = true;
	head->run.note = last->run.note;
	head->call.flags = TT_CALL_FUSED;
	memcpy(head->run.mark, &head->call, sizeof(head->call));
	head->call = own;
	return TUTTI_OK;
}

void
tt_fuse_fini(tutti_comm *comm)
{
	tt_free(comm->fuse.portions);
	comm->fuse.portions = NULL;
}
