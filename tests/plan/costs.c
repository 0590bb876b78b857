/* SPDX-License-Identifier: Apache-2.0
 *
 * costs.c - the closed forms that algorithms are chosen by count what their plans do: messages and bytes of all ranks, and
 * bytes and additions of the busiest one. TAP on standard output.
 *
 * Bytes are in units of n. Some forms are rounded where the ranks are no power of two; none may be off by more than a fifth.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/algorithms.h"
#include "plan/geometry.h"

#define MOST_RANKS 16
#define PIECES 4096
#define ROW ((size_t)720720) /* a multiple of all numbers of ranks */
#define TOLERANCE 0.2

struct count {
	double messages, sent, added; /* of all ranks */
	double busiest_way, busiest_both, busiest_added; /* of one rank */
};

static double
bytes_of(struct tt_geometry *geometry, const struct tt_span *span)
{
	static struct tt_piece pieces[PIECES];
	double bytes = 0;

	if (span->buffer == TT_TOKEN)
		return 0;
	for (int i = tt_geometry_pieces(geometry, span, 0, 0, pieces); i-- > 0;)
		bytes += (double)pieces[i].len;
	return bytes;
}

static void
count_rank(const struct tt_plan *plan, const struct tt_widths *widths, double n, struct count *count)
{
	double sent = 0, received = 0, added = 0;
	struct tt_geometry geometry;

	tt_geometry_init(&geometry, plan, widths, 1, 1);
	for (uint32_t i = 0; i < plan->nsteps; i++) {
		const struct tt_step *step = &plan->steps[i];
		const double bytes = step->nspans > 0 ? bytes_of(&geometry, &plan->spans[step->span]) / n : 0;

		count->messages += step->kind == TT_SEND;
		sent += step->kind == TT_SEND ? bytes : 0;
		received += step->kind == TT_RECV || step->kind == TT_RECV_REDUCE ? bytes : 0;
		added += step->kind == TT_RECV_REDUCE ? 2 * bytes : 0;
		added += step->kind == TT_REDUCE_STEP ? (step->nspans - 1) * bytes : 0;
	}
	count->sent += sent;
	count->added += added;
	count->busiest_way = fmax(count->busiest_way, fmax(sent, received));
	count->busiest_both = fmax(count->busiest_both, sent + received);
	count->busiest_added = fmax(count->busiest_added, added);
}

static bool
count_all(const struct tt_algorithm *algorithm, struct tt_shape *shape, struct count *count)
{
	const bool rows = tt_collective_in_rows(shape->collective, shape->nranks) > 1 ||
			  tt_collective_out_rows(shape->collective, shape->nranks) > 1;
	const size_t row = rows ? ROW / (size_t)shape->nranks : ROW;
	const struct tt_widths widths = {
	    .collective = shape->collective, .nranks = shape->nranks, .count = row, .widest = row};

	memset(count, 0, sizeof(*count));
	for (shape->rank = 0; shape->rank < shape->nranks; shape->rank++) {
		struct tt_plan plan;

		if (algorithm->make(shape, &plan) != TUTTI_OK)
			return false;
		count_rank(&plan, &widths, (double)ROW, count);
		tt_plan_fini(&plan);
	}
	return true;
}

static bool
near(const struct tt_algorithm *algorithm, int nranks, const char *what, double said, double counted)
{
	if (fabs(said - counted) <= TOLERANCE * counted + 1e-9)
		return true;
	printf("# %s %s, %d ranks: the closed form has %g %s, the plans %g\n",
	    tt_collective_name(algorithm->collective), algorithm->name, nranks, said, what, counted);
	return false;
}

static bool
agrees(const struct tt_algorithm *algorithm, int nranks, const struct count *count)
{
	const struct tt_algorithm_cost c = algorithm->cost(nranks, nranks);
	const double all = nranks, both = c.both > 0 ? c.both : 2 * c.bytes;
	bool good = true;

	good &= near(algorithm, nranks, "messages",
	    c.all_messages > 0 ? c.all_messages : all * (c.messages + c.overheads), count->messages);
	good &= near(algorithm, nranks, "bytes", c.all_bytes > 0 ? c.all_bytes : all * c.bytes, count->sent);
	good &= near(algorithm, nranks, "bytes one way", c.bytes, count->busiest_way);
	good &= near(algorithm, nranks, "bytes both ways", both, count->busiest_both);
	good &= near(algorithm, nranks, "bytes added by all", c.all_reduced > 0 ? c.all_reduced : all * c.reduced,
	    count->added);
	return near(algorithm, nranks, "bytes added by one", c.reduced, count->busiest_added) && good;
}

int
main(void)
{
	int each[MOST_RANKS], failed = 0, done = 0;

	for (int r = 0; r < MOST_RANKS; r++)
		each[r] = r;
	for (size_t i = 0; tt_algorithms[i] != NULL; i++) {
		const struct tt_algorithm *algorithm = tt_algorithms[i];
		bool good = true;

		if ((algorithm->flags & TT_ALG_NODE) != 0)
			continue;
		for (int nranks = 2; nranks <= MOST_RANKS; nranks++) {
			struct tt_shape shape = {
			    .collective = algorithm->collective, .nranks = nranks, .nnodes = nranks, .node_of = each};
			struct count count;
			const char *why;

			if (tt_algorithm_serves(algorithm, &shape, &why))
				good =
				    count_all(algorithm, &shape, &count) && agrees(algorithm, nranks, &count) && good;
		}
		printf("%sok %d - the closed form of %s %s counts what its plans do\n", good ? "" : "not ", ++done,
		    tt_collective_name(algorithm->collective), algorithm->name);
		failed += !good;
	}
	printf("1..%d\n", done);
	return failed != 0;
}
