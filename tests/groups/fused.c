/* SPDX-License-Identifier: Apache-2.0
 *
 * fused.c - small all-reduces of a group run as one where all ranks have them in a group, and only there; what comes out
 * is what single calls give.
 *
 * That they run as one is seen by an operator of the test's own: it is called with more elements than a member has.
 */
#include <stdlib.h>
#include <string.h>

#include "groups.h"
#include "random.h"

#define MEMBERS 40
#define EACH 2 /* elements of a member */

static int
finish(tutti_comm *comm, int bad)
{
	tutti_comm_destroy(comm);
	return bad;
}

/* ---- does it happen? ------------------------------------------------------------------------------------------------ */

static void
add(const void *in, void *inout, size_t count, void *context)
{
	size_t *most = context;

	*most = count > *most ? count : *most;
	for (size_t i = 0; i < count; i++) {
		int32_t a, b;

		memcpy(&a, (const char *)in + i * sizeof(a), sizeof(a));
		memcpy(&b, (const char *)inout + i * sizeof(b), sizeof(b));
		b += a;
		memcpy((char *)inout + i * sizeof(b), &b, sizeof(b));
	}
}

static int
call_members(struct job_rank *me, tutti_comm *comm, tutti_op op, bool grouped, int32_t *in, int32_t *out)
{
	tutti_request *requests[MEMBERS] = {0};
	int bad = 0;

	for (int i = 0; i < MEMBERS * EACH; i++)
		in[i] = me->rank * 1000 + i;
	if (grouped)
		bad = groups_check(me, tutti_group_begin(comm), "begin");
	for (int i = 0; i < MEMBERS && !bad; i++)
		bad = groups_check(me,
		    tutti_all_reduce(comm, in + i * EACH, out + i * EACH, EACH, TUTTI_INT32, op, NULL,
			grouped ? NULL : &requests[i]),
		    "an all_reduce");
	if (grouped)
		bad = bad || groups_check(me, tutti_group_end(comm, NULL), "end");
	bad = bad || groups_check(me, tutti_wait_all(MEMBERS, requests), "the single calls");
	for (int i = 0; i < MEMBERS * EACH && !bad; i++)
		if (out[i] != me->size * (me->size - 1) / 2 * 1000 + me->size * i)
			bad = job_complain(me, "element %d is %d", i, out[i]);
	return bad;
}

/* The most elements that the operator was called with, on any rank. */
static int
observe(struct job_rank *me, bool grouped, uint64_t *most)
{
	int32_t in[MEMBERS * EACH], out[MEMBERS * EACH];
	size_t mine = 0;
	tutti_comm *comm;
	tutti_op op;
	int bad = groups_comm(me, 0, &comm);

	if (bad)
		return bad;
	bad = groups_check(me, tutti_op_create_custom(comm, add, &mine, 1, &op), "an operator");
	bad = bad || call_members(me, comm, op, grouped, in, out);
	*most = mine;
	bad = bad ||
	      groups_check(me, tutti_all_reduce(comm, most, most, 1, TUTTI_UINT64, TUTTI_MAX, NULL, NULL), "max");
	return finish(comm, bad);
}

static int
happens(struct job_rank *me)
{
	uint64_t most;
	int bad = observe(me, true, &most);

	if (!bad && most <= EACH)
		bad = job_complain(me, "all ranks had a group, but its members ran one by one");
	return bad;
}

static int
meets_single(struct job_rank *me)
{
	uint64_t most;
	int bad = observe(me, me->rank != me->size - 1, &most);

	if (!bad && most > EACH)
		bad =
		    job_complain(me, "%llu elements at once, though a rank called singly", (unsigned long long)most);
	return bad;
}

/* ---- the same results ----------------------------------------------------------------------------------------------- */

static size_t
count_of(int i)
{
	return (size_t)(i * 37 % 101);
}

static void
fill(unsigned char *to, tutti_dtype dtype, size_t count, int rank, int member)
{
	struct random random = {mix64((uint64_t)rank * 1000 + (uint64_t)member)};

	for (size_t i = 0; i < count; i++) {
		const float value = (float)(random_below(&random, 2000000)) / 999.0f - 1000.0f;
		uint32_t bits;

		memcpy(&bits, &value, sizeof(bits));
		if (dtype == TUTTI_FLOAT32)
			memcpy(to + 4 * i, &bits, 4);
		else
			memcpy(to + 2 * i, (const uint16_t[]){(uint16_t)(bits >> 16)}, 2);
	}
}

/* Every member's result, one after the other. Odd ones in place, all of them misaligned. */
static int
results(struct job_rank *me, tutti_comm *comm, tutti_dtype dtype, tutti_op op, bool grouped, unsigned char *all)
{
	const size_t room = 101 * tutti_dtype_size(dtype) + 1;
	unsigned char *memory = malloc(2 * MEMBERS * room), *in, *out;
	int bad = grouped ? groups_check(me, tutti_group_begin(comm), "begin") : 0;

	for (int i = 0; i < MEMBERS && !bad; i++) {
		in = memory + (size_t)(2 * i) * room + 1;
		out = i % 2 ? in : in + room;
		fill(in, dtype, count_of(i), me->rank, i);
		bad = groups_check(
		    me, tutti_all_reduce(comm, in, out, count_of(i), dtype, op, NULL, NULL), "an all_reduce");
	}
	if (grouped)
		bad = bad || groups_check(me, tutti_group_end(comm, NULL), "end");
	for (int i = 0; i < MEMBERS && !bad; i++) {
		out = memory + (size_t)(2 * i + (i + 1) % 2) * room + 1;
		memcpy(all, out, count_of(i) * tutti_dtype_size(dtype));
		all += count_of(i) * tutti_dtype_size(dtype);
	}
	free(memory);
	return bad;
}

static int
compare(struct job_rank *me, tutti_comm *comm, tutti_dtype dtype, tutti_op op, const char *what)
{
	size_t bytes = 0;
	unsigned char *one, *other;
	int bad;

	for (int i = 0; i < MEMBERS; i++)
		bytes += count_of(i) * tutti_dtype_size(dtype);
	one = calloc(1, bytes);
	other = calloc(1, bytes);
	bad = results(me, comm, dtype, op, false, one) || results(me, comm, dtype, op, true, other);
	if (!bad && memcmp(one, other, bytes) != 0)
		bad = job_complain(me, "%s: a group's bits are not those of single calls", what);
	free(one);
	free(other);
	return bad;
}

static int
same_bits(struct job_rank *me)
{
	const float scalar = 0.37f + (float)me->rank;
	tutti_comm *comm;
	tutti_op op;
	int bad = groups_comm(me, 1, &comm);

	if (bad)
		return bad;
	bad = compare(me, comm, TUTTI_FLOAT32, TUTTI_SUM, "sums") ||
	      compare(me, comm, TUTTI_FLOAT32, TUTTI_AVG, "averages") ||
	      compare(me, comm, TUTTI_BFLOAT16, TUTTI_SUM, "sums of bfloat16");
	bad = bad || groups_check(me, tutti_op_create_premul_sum(comm, &scalar, TUTTI_FLOAT32, &op), "an operator");
	bad = bad || compare(me, comm, TUTTI_FLOAT32, op, "premultiplied sums");
	return finish(comm, bad);
}

/* Its first use is in a group: the ranks' scalars are exchanged by the first member. */
static int
premultiplied(struct job_rank *me)
{
	double in[MEMBERS], out[MEMBERS], wanted, scalar = me->rank + 1;
	tutti_request *request = NULL;
	tutti_comm *comm;
	tutti_op op;
	int bad = groups_comm(me, 0, &comm);

	if (bad)
		return bad;
	bad = groups_check(me, tutti_op_create_premul_sum(comm, &scalar, TUTTI_FLOAT64, &op), "an operator");
	bad = bad || groups_check(me, tutti_group_begin(comm), "begin");
	for (int i = 0; i < MEMBERS && !bad; i++) {
		in[i] = i;
		bad = groups_check(
		    me, tutti_all_reduce(comm, &in[i], &out[i], 1, TUTTI_FLOAT64, op, NULL, NULL), "an all_reduce");
	}
	/* Destroyed while it is in use. */
	bad = bad || groups_check(me, tutti_group_end(comm, &request), "end");
	bad = bad || groups_check(me, tutti_op_destroy(comm, op), "destruction");
	bad = bad || groups_check(me, tutti_wait(&request), "the group");
	for (int i = 0; i < MEMBERS && !bad; i++) {
		wanted = (double)i * me->size * (me->size + 1) / 2;
		if (out[i] < wanted || out[i] > wanted)
			bad = job_complain(me, "member %d gave %g", i, out[i]);
	}
	return finish(comm, bad);
}

const struct scenario fused_scenarios[] = {
    {"happens", "small all-reduces of a group run as one if all ranks have that group", 2, false, happens},
    {"meets_single", "they run one by one if a rank calls singly", 2, false, meets_single},
    {"same_bits", "with reproducible = 1 a group gives the bits of single calls", 1, false, same_bits},
    {"premultiplied", "an operator may be used for the first time in a group", 1, false, premultiplied},
    {NULL, NULL, 0, false, NULL},
};
