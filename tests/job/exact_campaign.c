/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_campaign.c - which cases are run. Every rank goes through the same cases in the same order, since all
 * choices follow from the seed, the communicator's size and the library's (agreed) list of algorithms.
 */
#include <stdio.h>
#include <string.h>

#include "exact.h"
#include "random.h"

#define WHOLE_BYTES ((size_t)256 << 10) /* of the larger buffer in the big case */

/* Reads "algorithm" and "eligible" of every candidate out of the library's JSON report. */
bool
exact_list(tutti_comm *comm, enum exact_kind kind, struct exact_algorithms *list)
{
	static const char key[] = "\"algorithm\": \"", flag[] = "\"eligible\": ";
	char report[16384];
	const char *p = report;

	list->n = 0;
	if (tutti_explain(comm, exact_collective(kind), 1024, 1, report, sizeof(report), NULL) != TUTTI_OK)
		return false;
	while (list->n < EXACT_ALGORITHMS && (p = strstr(p, key)) != NULL) {
		const char *name = p + strlen(key), *eligible = strstr(name, flag);

		p = name;
		snprintf(list->name[list->n], EXACT_NAME, "%.*s", (int)strcspn(name, "\""), name);
		list->eligible[list->n++] = eligible != NULL && strncmp(eligible + strlen(flag), "true", 4) == 0;
	}
	return list->n > 0;
}

bool
exact_one(tutti_comm *comm, const struct exact_case *c, struct exact_tally *tally)
{
	char why[768];

	if (tally->doing != NULL)
		tally->doing(tally->context, c);
	tally->run++;
	switch (exact_run(comm, c, why, sizeof(why))) {
	case EXACT_RIGHT:
		return true;
	case EXACT_UNSUPPORTED:
		tally->unsupported++;
		return true;
	case EXACT_WRONG:
		tally->wrong++;
		tally->tell(tally->context, c, why);
		return true;
	default:
		tally->wrong++;
		tally->tell(tally->context, c, why);
		return false;
	}
}

/* ---- the matrix -------------------------------------------------------------------------------------------------- */

struct matrix {
	tutti_comm *comm;
	struct exact_tally *tally;
	uint64_t seed;
	int sample;
	long number; /* of the case */
};

static int
counts(const struct exact_case *c, size_t *count)
{
	const size_t p = (size_t)c->size;
	const bool wide =
	    exact_collective(c->kind)[0] != 'b' && c->kind != EXACT_ALL_REDUCE && c->kind != EXACT_REDUCE;
	const size_t small[] = {0, 1, p > 1 ? p - 1 : 3, p, p + 1, 1001};
	const int n = (int)(sizeof(small) / sizeof(small[0]));

	memcpy(count, small, sizeof(small));
	count[n] = WHOLE_BYTES / tutti_dtype_size(c->dtype) / (wide ? p : 1) + 3;
	return n + 1;
}

/* All roots where one dtype and operator stand for all; else one by chance. The big count: one operator in five. */
static bool
each_count(struct matrix *m, struct exact_case *c)
{
	size_t count[16];
	const int n = c->kind == EXACT_BARRIER ? 1 : counts(c, count);
	const bool all_roots = exact_has_root(c->kind) && c->dtype == TUTTI_INT32 && c->op == TUTTI_SUM;

	for (int i = 0; i < n; i++) {
		for (int root = 0; root < (all_roots ? c->size : 1); root++) {
			const uint64_t h = mix64(m->seed * 1000003 + (uint64_t)++m->number);

			if ((h >> 8) % (uint64_t)m->sample != 0 || (i == n - 1 && n > 1 && h % 5 != 0))
				continue;
			c->seed = h >> 24;
			c->count = c->kind == EXACT_BARRIER ? 0 : count[i];
			c->place = (enum exact_place)(m->number % 3);
			c->root = all_roots                 ? root
				  : exact_has_root(c->kind) ? (int)((h >> 16) % (uint64_t)c->size)
							    : 0;
			if (!exact_one(m->comm, c, m->tally))
				return false;
		}
	}
	return true;
}

static bool
each_op(struct matrix *m, struct exact_case *c)
{
	for (int op = TUTTI_SUM; op < (exact_reduces(c->kind) ? EXACT_OPS : TUTTI_SUM + 1); op++) {
		c->op = op;
		if (exact_reduces(c->kind) && !exact_allows(op, c->dtype))
			continue;
		if (!each_count(m, c))
			return false;
		if (c->kind != EXACT_ALL_REDUCE || !exact_is_float(c->dtype) || op >= EXACT_PREMUL)
			continue;
		c->count = 257;
		c->seed = m->seed + (uint64_t)m->number;
		for (c->inputs = EXACT_ROUGH; c->inputs <= EXACT_WILD; c->inputs++)
			if (!exact_one(m->comm, c, m->tally))
				return false;
		c->inputs = EXACT_EXACT;
	}
	return true;
}

/* An algorithm that is said to be eligible must serve the plainest call of its kind. */
static bool
check_eligible(struct matrix *m, const struct exact_algorithms *list, int a, struct exact_case *c)
{
	const long unsupported = m->tally->unsupported;

	c->dtype = TUTTI_FLOAT32;
	c->op = TUTTI_SUM;
	c->count = c->kind == EXACT_BARRIER ? 0 : 256 / (size_t)c->size;
	c->seed = m->seed;
	c->place = EXACT_APART;
	if (!exact_one(m->comm, c, m->tally))
		return false;
	if ((m->tally->unsupported == unsupported) != list->eligible[a] && !exact_is_uneven(c->kind)) {
		m->tally->wrong++;
		m->tally->tell(m->tally->context, c, "tutti_explain and the call disagree on whether it is possible");
	}
	return true;
}

bool
exact_matrix(tutti_comm *comm, uint64_t seed, int sample, struct exact_tally *tally)
{
	struct matrix m = {comm, tally, seed, sample, 0};

	for (int kind = 0; kind < EXACT_KINDS; kind++) {
		struct exact_case c = {.kind = (enum exact_kind)kind, .size = tutti_comm_size(comm)};
		struct exact_algorithms list;

		if (!exact_list(comm, c.kind, &list)) {
			tally->wrong++;
			tally->tell(tally->context, &c, "tutti_explain does not tell its algorithms");
			continue;
		}
		for (int a = -1; a < list.n; a++) {
			snprintf(c.algorithm, sizeof(c.algorithm), "%s", a < 0 ? "" : list.name[a]);
			c.root = 0;
			if (a >= 0 && !check_eligible(&m, &list, a, &c))
				return false;
			for (int dtype = 0; dtype <= (kind == EXACT_BARRIER ? 0 : TUTTI_BOOL); dtype++) {
				c.dtype = (tutti_dtype)dtype;
				if (!each_op(&m, &c))
					return false;
			}
		}
	}
	return true;
}

/* ---- by chance --------------------------------------------------------------------------------------------------- */

/* Small ones most of the time; now and then near a power of two. */
static size_t
random_count(struct random *random, size_t most)
{
	const size_t scale = (size_t)1 << random_below(random, 21);
	const size_t count =
	    random_below(random, 3) == 0 ? scale + random_below(random, 3) - 1 : random_below(random, 2 * scale);

	return count > most ? count % (most + 1) : count;
}

void
exact_draw(struct random *random, int size, size_t most, const struct exact_algorithms *lists, struct exact_case *c)
{
	const struct exact_algorithms *list;
	uint64_t a;

	*c = (struct exact_case){.size = size};
	c->kind = (enum exact_kind)random_below(random, EXACT_KINDS);
	list = &lists[c->kind];
	c->dtype = (tutti_dtype)random_below(random, TUTTI_BOOL + 1);
	do {
		c->op = (int)random_below(random, EXACT_OPS);
	} while (!exact_allows(c->op, c->dtype));
	c->count = c->kind == EXACT_BARRIER ? 0 : random_count(random, most);
	c->place = (enum exact_place)random_below(random, 3);
	c->root = exact_has_root(c->kind) ? (int)random_below(random, (uint64_t)size) : 0;
	c->seed = random_next(random) >> 24;
	if (c->kind == EXACT_ALL_REDUCE && exact_is_float(c->dtype) && c->op < EXACT_PREMUL)
		c->inputs = (enum exact_inputs)random_below(random, EXACT_WILD + 1);
	a = random_below(random, 2 * (uint64_t)list->n + 1); /* half of the time the library's choice */
	if (a < (uint64_t)list->n && list->eligible[a])
		memcpy(c->algorithm, list->name[a], sizeof(c->algorithm));
}

bool
exact_random(tutti_comm *comm, uint64_t seed, long n, size_t most, struct exact_tally *tally)
{
	struct random random = {mix64(seed)};
	struct exact_algorithms lists[EXACT_KINDS];

	for (int kind = 0; kind < EXACT_KINDS; kind++)
		if (!exact_list(comm, (enum exact_kind)kind, &lists[kind]))
			lists[kind].n = 0;
	for (long i = 0; i < n; i++) {
		struct exact_case c;

		exact_draw(&random, tutti_comm_size(comm), most, lists, &c);
		if (!exact_one(comm, &c, tally))
			return false;
	}
	return true;
}
