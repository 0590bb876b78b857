/* SPDX-License-Identifier: Apache-2.0
 *
 * reproducible.c - the bits of sums that round, as hashes, for one placement of the ranks: run it under launchers and
 * settings that differ, and compare what rank 0 prints (reproducible.sh).
 *
 *	reproducible [off]
 *
 * What may differ inside one job is compared here: every algorithm that is offered, in place or not, any alignment,
 * blocking or several at a time. With "off" the communicator is not reproducible, to see that the hashes can tell.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "random.h"

#define MOST_SHIFT 16
#define LARGEST 12289 /* elements; chunks are smaller where the staging memory is */
#define FORMS 4 /* out of place, in place, the same unaligned */

struct session {
	tutti_comm *comm;
	int rank, size, different;
	struct exact_algorithms lists[EXACT_KINDS];
	unsigned char *memory[2]; /* out of place: send, recv; in place: the first */
	size_t room;
};

static void
require(tutti_status status, const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	if (status == TUTTI_OK)
		return;
	(void)tutti_last_error(&error);
	fprintf(stderr, "reproducible: %s: %s: %s\n", what, tutti_status_string(status), error.message);
	exit(1);
}

/* Elements that this rank gives and gets. */
static size_t
given(const struct exact_case *c)
{
	return c->kind == EXACT_REDUCE_SCATTER ? c->count * (size_t)c->size : c->count;
}

static size_t
got(const struct session *s, const struct exact_case *c)
{
	return c->kind == EXACT_REDUCE && s->rank != c->root ? 0 : c->count;
}

static tutti_status
call(struct session *s, const struct exact_case *c, const void *send, void *recv, const tutti_options *options)
{
	if (c->kind == EXACT_ALL_REDUCE)
		return tutti_all_reduce(s->comm, send, recv, c->count, c->dtype, c->op, options, NULL);
	if (c->kind == EXACT_REDUCE)
		return tutti_reduce(s->comm, send, recv, c->count, c->dtype, c->op, c->root, options, NULL);
	return tutti_reduce_scatter(s->comm, send, recv, c->count, c->dtype, c->op, options, NULL);
}

static uint64_t
hash_bytes(const unsigned char *bytes, size_t n)
{
	uint64_t hash = n;

	for (size_t i = 0; i < n; i++)
		hash = mix64(hash ^ bytes[i]);
	return hash;
}

/* Of all ranks' results together. false: the algorithm cannot do it. */
static bool
hash_of(struct session *s, const struct exact_case *c, int form, uint64_t *hash)
{
	const size_t element = tutti_dtype_size(c->dtype);
	const size_t shift = form & 2 ? mix64(c->seed + (uint64_t)s->rank) % MOST_SHIFT : 0;
	const size_t place = c->kind == EXACT_REDUCE_SCATTER ? (size_t)s->rank * c->count * element : 0;
	unsigned char *send = s->memory[0] + shift, *recv = form & 1 ? send + place : s->memory[1] + (shift * 7) % 16;
	tutti_options options = TUTTI_OPTIONS_INIT;
	uint64_t mine, all[EXACT_RANKS];
	tutti_status status;

	options.algorithm = c->algorithm[0] != '\0' ? c->algorithm : NULL;
	for (size_t i = 0; i < given(c); i++)
		exact_store(c->dtype, exact_input(c, s->rank, i), send + i * element);
	status = call(s, c, send, recv, &options);
	if (status == TUTTI_ERR_UNSUPPORTED && options.algorithm != NULL)
		return false;
	require(status, exact_kind_names[c->kind]);
	mine = hash_bytes(recv, got(s, c) * element);
	require(tutti_all_gather(s->comm, &mine, all, 1, TUTTI_UINT64, NULL, NULL), "all_gather");
	*hash = hash_bytes((const unsigned char *)all, sizeof(all[0]) * (size_t)s->size);
	return true;
}

/* The library's choice says what is right; everything else that is offered must agree. */
static void
compare(struct session *s, struct exact_case *c)
{
	const struct exact_algorithms *list = &s->lists[c->kind];
	uint64_t first = 0, hash;
	char text[256];

	c->algorithm[0] = '\0';
	(void)hash_of(s, c, 0, &first);
	exact_print(c, text, sizeof(text));
	if (s->rank == 0)
		printf("%s: %016" PRIx64 "\n", text, first);
	for (int a = -1; a < list->n; a++) {
		if (a >= 0 && !list->eligible[a])
			continue;
		snprintf(c->algorithm, sizeof(c->algorithm), "%s", a < 0 ? "" : list->name[a]);
		for (int form = 0; form < FORMS; form++) {
			if (!hash_of(s, c, form, &hash) || hash == first)
				continue;
			s->different++;
			if (s->rank == 0)
				printf("DIFFERENT %s by %s, form %d\n", text, a < 0 ? "choice" : list->name[a], form);
		}
	}
}

/* Sums at many counts; averages and products, and 8-bit floats, at one. */
static void
compare_dtype(struct session *s, enum exact_kind kind, tutti_dtype dtype)
{
	static const tutti_op ops[] = {TUTTI_SUM, TUTTI_AVG, TUTTI_PROD};
	static const size_t counts[] = {101, 1, LARGEST};
	struct exact_case c = {.kind = kind, .dtype = dtype, .inputs = EXACT_ROUGH, .seed = 77, .size = s->size};

	c.root = kind == EXACT_REDUCE ? s->size - 1 : 0;
	for (int o = 0; o < 3; o++)
		for (int n = 0; n < (o == 0 && dtype < TUTTI_FLOAT8_E4M3 ? 3 : 1); n++) {
			c.op = ops[o];
			c.count = kind == EXACT_REDUCE_SCATTER ? counts[n] / (size_t)s->size + 1 : counts[n];
			compare(s, &c);
		}
}

static void
compare_all(struct session *s)
{
	static const enum exact_kind kinds[] = {EXACT_ALL_REDUCE, EXACT_REDUCE_SCATTER, EXACT_REDUCE};

	for (int k = 0; k < 3; k++)
		for (int dtype = TUTTI_FLOAT16; dtype <= TUTTI_FLOAT8_E5M2; dtype++)
			compare_dtype(s, kinds[k], (tutti_dtype)dtype);
}

int
main(int argc, char **argv)
{
	const bool off = argc > 1 && strcmp(argv[1], "off") == 0;
	struct session s = {.room = (LARGEST + EXACT_RANKS) * sizeof(double) + MOST_SHIFT};
	tutti_config config = TUTTI_CONFIG_INIT;

	config.reproducible = off ? -1 : 1;
	require(tutti_comm_create_from_env(&config, &s.comm), "creation");
	s.rank = tutti_comm_rank(s.comm);
	s.size = tutti_comm_size(s.comm);
	for (int kind = 0; kind < EXACT_KINDS; kind++)
		if (!exact_list(s.comm, (enum exact_kind)kind, &s.lists[kind]))
			return 1;
	for (int b = 0; b < 2; b++)
		if ((s.memory[b] = calloc(1, s.room)) == NULL)
			return 1;
	compare_all(&s);
	for (int b = 0; b < 2; b++)
		free(s.memory[b]);
	require(tutti_comm_destroy(s.comm), "destruction");
	return s.different == 0 ? 0 : 1;
}
