/* SPDX-License-Identifier: Apache-2.0
 *
 * custom.c - a program's own operators: in rank order if they do not commute, on every algorithm that takes them.
 *
 * The operator that does not commute is the product of 2 by 2 matrices modulo a prime, one matrix in 64 bits. Its
 * right result is worked out here, from rank 0 to the last.
 */
#include <stdlib.h>
#include <string.h>

#include "operators.h"
#include "random.h"

#define PRIME 65521u
#define MOST ((size_t)40000)

const char *const operators_algorithms[] = {"oneshot", "direct", "ring", "tree", "recursive_doubling",
    "recursive_multiplying", "halving", "circulant", "node", "hierarchical", "binomial", NULL};

/* What combine gets as its context, and has seen. */
struct seen {
	uint64_t magic;
	size_t element;
	atomic_int wrong;
};

static uint64_t
multiply(uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (unsigned row = 0; row < 2; row++)
		for (unsigned column = 0; column < 2; column++) {
			uint64_t sum = 0;

			for (unsigned k = 0; k < 2; k++)
				sum += (a >> (32 * row + 16 * k) & 0xffff) * (b >> (32 * k + 16 * column) & 0xffff);
			product |= sum % PRIME << (32 * row + 16 * column);
		}
	return product;
}

static void
look(struct seen *seen, const void *in, const void *inout)
{
	if (seen->magic != 0x5eed || (uintptr_t)in % seen->element != 0 || (uintptr_t)inout % seen->element != 0)
		atomic_store(&seen->wrong, 1);
}

static void
matrices(const void *in, void *inout, size_t count, void *context)
{
	const uint64_t *lower = in;
	uint64_t *higher = inout;

	look(context, in, inout);
	for (size_t i = 0; i < count; i++)
		higher[i] = multiply(lower[i], higher[i]);
}

static void
keep_left(const void *in, void *inout, size_t count, void *context)
{
	struct seen *seen = context;

	look(context, in, inout);
	memcpy(inout, in, count * seen->element);
}

static void
keep_right(const void *in, void *inout, size_t count, void *context)
{
	(void)count;
	look(context, in, inout);
}

static void
add(const void *in, void *inout, size_t count, void *context)
{
	const int32_t *a = in;
	int32_t *b = inout;

	look(context, in, inout);
	for (size_t i = 0; i < count; i++)
		b[i] += a[i];
}

/* ---- in rank order ------------------------------------------------------------------------------------------- */

static uint64_t
matrix(int rank, size_t i)
{
	uint64_t bits = 0;

	for (unsigned part = 0; part < 4; part++)
		bits |= mix64(i * 64 + (uint64_t)rank * 4 + part) % PRIME << (16 * part);
	return bits;
}

static uint64_t
product(int size, size_t i)
{
	uint64_t all = matrix(0, i);

	for (int r = 1; r < size; r++)
		all = multiply(all, matrix(r, i));
	return all;
}

static void
fill(const struct job_rank *me, unsigned char *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint64_t value = matrix(me->rank, i);

		memcpy(to + i * sizeof(value), &value, sizeof(value));
	}
}

static bool
right(const struct job_rank *me, const unsigned char *got, size_t first, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint64_t value = product(me->size, first + i);

		if (memcmp(got + i * sizeof(value), &value, sizeof(value)) != 0)
			return false;
	}
	return true;
}

struct call {
	tutti_comm *comm;
	tutti_op op;
	const tutti_options *options;
	unsigned char *send, *recv;
	size_t count; /* all_reduce and reduce; of all rows of a reduce_scatter */
};

static tutti_status
call(const struct job_rank *me, const struct call *c, int which, size_t *first, size_t *n)
{
	const size_t row = c->count / (size_t)me->size;
	size_t counts[JOB_RANKS];

	*first = 0;
	*n = c->count;
	switch (which) {
	case 0:
		return tutti_all_reduce(c->comm, c->send, c->recv, c->count, TUTTI_UINT64, c->op, c->options, NULL);
	case 1:
		*n = me->rank == me->size / 2 ? c->count : 0;
		return tutti_reduce(
		    c->comm, c->send, c->recv, c->count, TUTTI_UINT64, c->op, me->size / 2, c->options, NULL);
	case 2:
		*first = row * (size_t)me->rank;
		*n = row;
		return tutti_reduce_scatter(c->comm, c->send, c->recv, row, TUTTI_UINT64, c->op, c->options, NULL);
	default:
		for (int r = 0; r < me->size; r++)
			counts[r] = r == me->size - 1 ? c->count - row * (size_t)r : row;
		*first = row * (size_t)me->rank;
		*n = counts[me->rank];
		return tutti_reduce_scatterv(
		    c->comm, c->send, c->recv, counts, TUTTI_UINT64, c->op, c->options, NULL);
	}
}

/* Odd ranks' memory is not aligned; even ranks' all_reduce is in place. */
static int
check_order(struct job_rank *me, tutti_comm *comm, tutti_op op, const char *algorithm, int which, int *served)
{
	const char *const name = algorithm != NULL ? algorithm : "itself";
	static const size_t counts[] = {1, 5, 64, 1000, MOST};
	tutti_options options = TUTTI_OPTIONS_INIT;
	unsigned char *memory = malloc(2 * MOST * sizeof(uint64_t) + 16);
	struct call c = {.comm = comm, .op = op, .options = &options, .send = memory + me->rank % 2};
	size_t first, n;
	int bad = 0;

	options.algorithm = algorithm;
	c.recv = which == 0 && me->rank % 2 == 0 ? c.send : c.send + MOST * sizeof(uint64_t);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && !bad; i++) {
		tutti_status status;

		c.count = counts[i];
		fill(me, c.send, c.count);
		job_doing(me, "reduction %d of %zu by %s", which, c.count, name);
		status = call(me, &c, which, &first, &n);
		if (algorithm != NULL && (status == TUTTI_ERR_UNSUPPORTED || status == TUTTI_ERR_ARGUMENT))
			break;
		++*served;
		if (status != TUTTI_OK)
			bad = job_complain_status(me, status, "reduction %d by %s", which, name);
		else if (!right(me, c.recv, first, n))
			bad =
			    job_complain(me, "reduction %d of %zu by %s is not in rank order", which, c.count, name);
	}
	free(memory);
	return bad;
}

static int
rank_order(struct job_rank *me)
{
	struct seen seen = {.magic = 0x5eed, .element = 8};
	tutti_comm *comm;
	tutti_op op;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_check(me, tutti_op_create_custom(comm, matrices, &seen, 0, &op), "creating");
	for (int which = 0; which < 4 && !bad; which++) {
		int served = 0;

		bad = check_order(me, comm, op, NULL, which, &served);
		for (int a = 0; operators_algorithms[a] != NULL && !bad; a++)
			bad = check_order(me, comm, op, operators_algorithms[a], which, &served);
		if (!bad && served < 6)
			bad = job_complain(me, "no algorithm by name serves reduction %d", which);
	}
	if (!bad && atomic_load(&seen.wrong))
		bad = job_complain(me, "combine got memory that is not aligned, or another context");
	bad = bad || scenario_check(me, tutti_op_destroy(comm, op), "destroying");
	tutti_comm_destroy(comm);
	return bad;
}

/* ---- every data type ------------------------------------------------------------------------------------------- */

/* The first or the last rank's bytes, whatever the type. */
static int
check_keep(struct job_rank *me, tutti_comm *comm, tutti_dtype dtype, bool left)
{
	struct seen seen = {.magic = 0x5eed, .element = tutti_dtype_size(dtype)};
	const int kept = left ? 0 : me->size - 1;
	const size_t bytes = 777 * seen.element;
	unsigned char *mine = malloc(bytes + 1), *got = malloc(bytes + 1);
	tutti_op op;
	int bad;

	for (size_t i = 0; i < bytes; i++)
		mine[i + 1] = (unsigned char)mix64(i * 100 + (uint64_t)me->rank);
	bad = scenario_check(
	    me, tutti_op_create_custom(comm, left ? keep_left : keep_right, &seen, 0, &op), "creating");
	bad = bad ||
	      scenario_check(me, tutti_all_reduce(comm, mine + 1, got + 1, 777, dtype, op, NULL, NULL), "all_reduce");
	for (size_t i = 0; i < bytes && !bad; i++)
		if (got[i + 1] != (unsigned char)mix64(i * 100 + (uint64_t)kept))
			bad = job_complain(me, "type %d: byte %zu is not rank %d's", (int)dtype, i, kept);
	if (!bad && atomic_load(&seen.wrong))
		bad = job_complain(me, "type %d: combine got memory that is not aligned", (int)dtype);
	bad = bad || scenario_check(me, tutti_op_destroy(comm, op), "destroying");
	free(mine);
	free(got);
	return bad;
}

static int
every_type(struct job_rank *me)
{
	tutti_comm *comm;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	for (int dtype = 0; dtype <= TUTTI_BOOL && !bad; dtype++)
		bad =
		    check_keep(me, comm, (tutti_dtype)dtype, true) || check_keep(me, comm, (tutti_dtype)dtype, false);
	tutti_comm_destroy(comm);
	return bad;
}

/* ---- commutative ones ---------------------------------------------------------------------------------------- */

static int
check_sum(struct job_rank *me, tutti_comm *comm, tutti_op op, const char *algorithm, size_t n, int *served)
{
	const int all = me->size * (me->size - 1) / 2;
	tutti_options options = TUTTI_OPTIONS_INIT;
	int32_t *v = malloc(n * sizeof(*v));
	tutti_status status;
	int bad = 0;

	options.algorithm = algorithm;
	for (size_t i = 0; i < n; i++)
		v[i] = (int32_t)i % 1000 + me->rank;
	job_doing(me, "sum of %zu by %s", n, algorithm);
	status = tutti_all_reduce(comm, v, v, n, TUTTI_INT32, op, &options, NULL);
	*served += status == TUTTI_OK;
	if (status != TUTTI_OK && status != TUTTI_ERR_UNSUPPORTED && status != TUTTI_ERR_ARGUMENT)
		bad = job_complain_status(me, status, "sum by %s", algorithm);
	for (size_t i = 0; i < n && status == TUTTI_OK && !bad; i++)
		if (v[i] != (int32_t)i % 1000 * me->size + all)
			bad = job_complain(me, "element %zu of %zu by %s is %d", i, n, algorithm, v[i]);
	free(v);
	return bad;
}

static int
commutative(struct job_rank *me)
{
	struct seen seen = {.magic = 0x5eed, .element = 4};
	tutti_comm *comm;
	tutti_op op;
	int served = 0, bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	bad = scenario_check(me, tutti_op_create_custom(comm, add, &seen, 1, &op), "creating");
	for (int a = 0; operators_algorithms[a] != NULL && !bad; a++)
		bad = check_sum(me, comm, op, operators_algorithms[a], 11, &served) ||
		      check_sum(me, comm, op, operators_algorithms[a], 200000, &served);
	if (!bad && served < 12)
		bad =
		    job_complain(me, "only %d sums by name: an operator that commutes may use any algorithm", served);
	if (!bad && atomic_load(&seen.wrong))
		bad = job_complain(me, "combine got memory that is not aligned, or another context");
	tutti_comm_destroy(comm); /* and what was created on it */
	return bad;
}

static int
in_flight(struct job_rank *me)
{
	enum { MANY = 20, COUNT = 30000 };
	struct seen seen = {.magic = 0x5eed, .element = 4};
	const int all = me->size * (me->size - 1) / 2;
	tutti_request *requests[MANY] = {NULL};
	int32_t *v = malloc(MANY * COUNT * sizeof(*v));
	tutti_comm *comm;
	int bad = scenario_comm(me, &comm);

	if (bad)
		return bad;
	for (int i = 0; i < MANY * COUNT; i++)
		v[i] = i + me->rank;
	for (int k = 0; k < MANY && !bad; k++) {
		tutti_op op;

		bad = scenario_check(me, tutti_op_create_custom(comm, add, &seen, k % 2, &op), "creating");
		bad = bad || scenario_check(me,
				 tutti_all_reduce(
				     comm, v + k * COUNT, v + k * COUNT, COUNT, TUTTI_INT32, op, NULL, &requests[k]),
				 "all_reduce");
		bad = bad || scenario_check(me, tutti_op_destroy(comm, op), "destroying while it is used");
		if (!bad && tutti_op_destroy(comm, op) != TUTTI_ERR_ARGUMENT)
			bad = job_complain(me, "an operator can be destroyed twice");
	}
	bad = bad || scenario_check(me, tutti_wait_all(MANY, requests), "wait_all");
	for (int i = 0; i < MANY * COUNT && !bad; i++)
		if (v[i] != i * me->size + all)
			bad = job_complain(me, "element %d is %d", i, v[i]);
	tutti_comm_destroy(comm);
	free(v);
	return bad;
}

const struct scenario custom_scenarios[] = {
    {"rank_order", "what does not commute is combined in rank order by every algorithm that takes it", 1, false,
	rank_order},
    {"every_type", "an operator serves every data type, and gets aligned memory", 1, false, every_type},
    {"commutative", "what commutes may use any algorithm", 2, false, commutative},
    {"in_flight", "an operator may be destroyed while operations that use it are pending", 1, false, in_flight},
    {NULL, NULL, 0, false, NULL},
};
