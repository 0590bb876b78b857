/* SPDX-License-Identifier: Apache-2.0
 *
 * labour.c - what a step of the node stage gives its members to do, in closed form.
 *
 * The stage copies into memory that the node's ranks share and out of it, chunk after chunk, and adds what others have
 * put there. Meeting is not counted here.
 */
#include "plan/labour.h"

double
tt_machine_kept(const struct tt_machine *machine)
{
	return machine->kept_s_per_byte > 0 ? machine->kept_s_per_byte : machine->copy_s_per_byte;
}

double
tt_machine_meet(const struct tt_machine *machine)
{
	return machine->meet_s > 0 ? machine->meet_s : machine->same_node.latency_s;
}

static struct tt_labour
alike(double seconds, double members)
{
	return (struct tt_labour){.busiest = seconds, .all = seconds * members};
}

/* A sum of `bytes` of each member that goes to all, or to one: each adds all that it wants, or a slice. */
static struct tt_labour
labour_of_sum(const struct tt_machine *m, double bytes, double members, double read, bool to_all)
{
	const double others = (members - 1) / members;
	const double add = bytes * (m->reduce_s_per_byte / members + read * others);
	const double in = bytes * others * m->copy_s_per_byte;
	const double whole = bytes * m->copy_s_per_byte + members * add;
	const double sliced = 2 * in + add + bytes / members * tt_machine_kept(m);

	if (whole < sliced + tt_machine_meet(m))
		return (struct tt_labour){.busiest = whole,
		    .all = to_all ? members * whole : whole + (members - 1) * bytes * m->copy_s_per_byte};
	return (struct tt_labour){
	    .busiest = sliced, .all = members * (in + add) + (to_all ? members : 1) * in, .meetings = 1};
}

/* One member's row of `bytes` to or from each other. */
static struct tt_labour
labour_of_root(const struct tt_machine *m, double bytes, double members, double chunks)
{
	const double each = bytes * m->copy_s_per_byte;

	return (struct tt_labour){.busiest = (members - 1) * each + each / chunks + bytes * tt_machine_kept(m),
	    .all = 2 * (members - 1) * each + bytes * tt_machine_kept(m)};
}

/* Rows that the kernel copies once, from process to process: see engine/node_far.c. */
static bool
goes_far(const struct tt_machine *m, enum tt_step_kind kind, double row, double members)
{
	if (m->far_s_per_byte <= 0 || row < m->far_least ||
	    row >= (kind == TT_NODE_SCATTER ? m->far_most_of_root : m->far_most))
		return false;
	return kind == TT_NODE_ALL_TO_ALL || (kind == TT_NODE_ALL_GATHER && members <= 2) ||
	       (kind == TT_NODE_SCATTER && members > 2);
}

static struct tt_labour
labour_from_afar(const struct tt_machine *m, enum tt_step_kind kind, double row, double members)
{
	const double each = m->far_call_s + row * m->far_s_per_byte, kept = row * tt_machine_kept(m);
	struct tt_labour labour = {.busiest = (members - 1) * each + kept, .meetings = 1};

	if (kind == TT_NODE_SCATTER)
		labour.busiest = each > kept ? each : kept;
	labour.all = kind == TT_NODE_SCATTER ? (members - 1) * each + kept : members * labour.busiest;
	return labour;
}

/* Of the rows of a step, one member's. */
static double
row_of(enum tt_step_kind kind, double dst, double src, double members)
{
	if (kind == TT_NODE_ALL_TO_ALL)
		return src / members;
	return dst < src && dst > 0 ? dst : src > 0 ? src : dst;
}

struct tt_labour
tt_labour_of(const struct tt_machine *m, enum tt_step_kind kind, double dst, double src, double members)
{
	const double read = m->read_s_per_byte > 0 ? m->read_s_per_byte : m->reduce_s_per_byte;
	const double row = row_of(kind, dst, src, members), others = (members - 1) / members;
	const double chunks = m->node_chunk > 0 && row > m->node_chunk ? row / m->node_chunk : 1;

	if (members > 1 && goes_far(m, kind, row, members))
		return labour_from_afar(m, kind, row, members);
	switch (kind) {
	case TT_NODE_ALL_REDUCE:
	case TT_NODE_REDUCE:
		return labour_of_sum(m, src, members, read, kind == TT_NODE_ALL_REDUCE);
	case TT_NODE_REDUCE_SCATTER:
		return alike(src * (others * (m->copy_s_per_byte + read) + m->reduce_s_per_byte / members), members);
	case TT_NODE_ALL_GATHER:
		return alike(dst * m->copy_s_per_byte + src * tt_machine_kept(m), members);
	case TT_NODE_ALL_TO_ALL:
		return alike(others * (src + dst) * m->copy_s_per_byte + dst / members * tt_machine_kept(m), members);
	case TT_NODE_GATHER:
	case TT_NODE_SCATTER:
		return labour_of_root(m, row, members, chunks);
	case TT_NODE_BROADCAST:
		return (struct tt_labour){.busiest = dst * m->copy_s_per_byte * (1 + 1 / chunks),
		    .all = members * dst * m->copy_s_per_byte};
	default:
		return (struct tt_labour){.busiest = 0};
	}
}
