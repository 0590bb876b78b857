/* SPDX-License-Identifier: Apache-2.0
 *
 * exact_mail.c - sends and receives in flight together (see exact.h).
 *
 * Every rank knows all letters: who sends which elements to whom under which tag. Letters with one sender, receiver
 * and tag are told apart by their order only. Receives from any peer have a tag that is used once, under which every
 * rank sends one letter, so that who was first is open and nothing else.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "random.h"

#define GUARD 32
#define FIRST_OPEN_TAG 1000
#define MOST_ENDS (EXACT_LETTERS * (EXACT_RANKS + 1))
#define PATTERN(i) ((unsigned char)(0x5a ^ (i)*11))

enum way { SINGLY, BLOCKING, GROUPED, WAYS };

struct letter {
	struct exact_case c; /* of its elements: kind all_gather, any bits */
	int from, to, tag; /* from -1: one from every rank */
};

/* A send or receive of this rank's. */
struct end {
	const struct letter *letter;
	bool receives;
	unsigned char *memory, *at;
	int sender;
	tutti_request *request;
};

struct exact_mail {
	tutti_comm *comm;
	int rank, size, n;
	struct letter letter[EXACT_LETTERS];
	struct end end[MOST_ENDS];
	tutti_request *group;
	tutti_status status; /* the first failure */
	uint64_t own;
};

static void
draw(struct exact_mail *mail, uint64_t number, int letters, size_t most)
{
	const int open = FIRST_OPEN_TAG + (int)(number >> 8 & 0x7ffffff) * EXACT_LETTERS;
	struct random random = {mix64(number ^ 0xab)};

	for (int i = 0; i < letters; i++) {
		struct letter *l = &mail->letter[i];
		const size_t scale = (size_t)1 << random_below(&random, 16);

		l->c = (struct exact_case){.kind = EXACT_ALL_GATHER,
		    .dtype = (tutti_dtype)random_below(&random, TUTTI_BOOL + 1),
		    .count = random_below(&random, scale < most ? scale : most),
		    .seed = random_next(&random),
		    .size = mail->size};
		l->from = random_below(&random, 5) == 0 ? -1 : (int)random_below(&random, (uint64_t)mail->size);
		l->to = (int)random_below(&random, (uint64_t)mail->size);
		l->tag = l->from < 0 ? open + i : (int)random_below(&random, 3);
	}
}

static size_t
bytes_of(const struct letter *letter)
{
	return letter->c.count * tutti_dtype_size(letter->c.dtype);
}

static void
write_letter(const struct letter *letter, int from, unsigned char *at)
{
	const size_t element = tutti_dtype_size(letter->c.dtype);

	for (size_t i = 0; i < letter->c.count; i++)
		exact_store(letter->c.dtype, exact_input(&letter->c, from, i), at + i * element);
}

static struct end *
add(struct exact_mail *mail, const struct letter *letter, bool receives)
{
	struct end *end = &mail->end[mail->n];
	const size_t bytes = bytes_of(letter), shift = (size_t)(mix64(mail->own + (uint64_t)mail->n) % 16);

	*end = (struct end){.letter = letter, .receives = receives, .sender = -1};
	end->memory = malloc(bytes + 2 * GUARD + 16);
	if (end->memory == NULL)
		abort();
	for (size_t i = 0; i < bytes + 2 * GUARD + 16; i++)
		end->memory[i] = PATTERN(i);
	end->at = end->memory + GUARD + shift;
	if (!receives)
		write_letter(letter, mail->rank, end->at);
	mail->n++;
	return end;
}

static void
issue(struct exact_mail *mail, struct end *end, enum way way)
{
	const struct letter *l = end->letter;
	const bool alone = way == SINGLY || (way == BLOCKING && (l->from < 0 || l->from == l->to));
	tutti_request **request = alone ? &end->request : NULL;
	tutti_status status;

	if (end->receives)
		status = tutti_recv(mail->comm, end->at, l->c.count, l->c.dtype,
		    l->from < 0 ? TUTTI_ANY_PEER : l->from, l->tag, &end->sender, NULL, request);
	else
		status = tutti_send(mail->comm, end->at, l->c.count, l->c.dtype, l->to, l->tag, NULL, request);
	if (mail->status == TUTTI_OK)
		mail->status = status;
}

/* Letters in their order, which is all that blocking ones need to get through. */
static void
issue_all(struct exact_mail *mail, int letters, enum way way)
{
	for (int i = 0; i < letters; i++) {
		const struct letter *l = &mail->letter[i];

		if (l->from < 0 || l->from == mail->rank)
			issue(mail, add(mail, l, false), way);
		for (int k = 0; l->to == mail->rank && k < (l->from < 0 ? mail->size : 1); k++)
			issue(mail, add(mail, l, true), way);
	}
}

struct exact_mail *
exact_mail_post(tutti_comm *comm, uint64_t number, int letters, size_t most)
{
	struct exact_mail *mail = calloc(1, sizeof(*mail));
	enum way way;

	if (mail == NULL)
		abort();
	mail->comm = comm;
	mail->rank = tutti_comm_rank(comm);
	mail->size = tutti_comm_size(comm);
	mail->own = mix64(number + 77 + (uint64_t)mail->rank);
	draw(mail, number, letters, most);
	way = (enum way)(mix64(number ^ 0xcd) % WAYS); /* blocking ones only meet each other: all ranks alike */
	if (way == GROUPED)
		mail->status = tutti_group_begin(comm);
	issue_all(mail, letters, way);
	if (way == GROUPED) {
		const tutti_status status = tutti_group_end(comm, mail->own % 2 ? NULL : &mail->group);

		mail->status = mail->status == TUTTI_OK ? status : mail->status;
	}
	return mail;
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

static void
finish(struct exact_mail *mail, tutti_request **request)
{
	tutti_status status = TUTTI_OK;
	int done = 0;

	if (mail->own % 3 == 0)
		status = tutti_wait(request);
	while (*request != NULL && !done) {
		status = tutti_test(request, &done);
		if (!done)
			sched_yield();
	}
	if (mail->status == TUTTI_OK)
		mail->status = status;
}

static bool
is_intact(const struct exact_mail *mail, const struct end *end, int from, char *why, size_t room)
{
	const size_t bytes = bytes_of(end->letter), all = bytes + 2 * GUARD + 16;
	const size_t begin = (size_t)(end->at - end->memory);
	unsigned char *expected = malloc(all);
	bool intact;

	if (expected == NULL)
		abort();
	for (size_t i = 0; i < all; i++)
		expected[i] = PATTERN(i);
	write_letter(end->letter, from, expected + begin);
	intact = memcmp(expected, end->memory, all) == 0;
	for (size_t i = 0; !intact; i++) {
		if (expected[i] == end->memory[i])
			continue;
		snprintf(why, room, "%s %d, tag %d, %zu x %s: byte %td is 0x%02x, should be 0x%02x",
		    end->receives ? "received from" : "sent to", end->receives ? from : end->letter->to,
		    end->letter->tag, end->letter->c.count, exact_dtype_names[end->letter->c.dtype],
		    (ptrdiff_t)i - (ptrdiff_t)begin, end->memory[i], expected[i]);
		break;
	}
	free(expected);
	return intact;
}

static bool
is_right(const struct exact_mail *mail, const struct end *end, bool *heard, char *why, size_t room)
{
	const struct letter *l = end->letter;

	if (!end->receives)
		return is_intact(mail, end, mail->rank, why, room);
	if (end->sender < 0 || end->sender >= mail->size || (l->from >= 0 && end->sender != l->from)) {
		snprintf(why, room, "a receive with tag %d says that rank %d has sent", l->tag, end->sender);
		return false;
	}
	if (l->from < 0 && heard[end->sender]) {
		snprintf(why, room, "two receives with tag %d are from rank %d", l->tag, end->sender);
		return false;
	}
	heard[end->sender] = l->from < 0;
	return is_intact(mail, end, end->sender, why, room);
}

enum exact_verdict
exact_mail_end(struct exact_mail *mail, char *why, size_t bytes)
{
	enum exact_verdict verdict = EXACT_RIGHT;
	bool heard[EXACT_LETTERS][EXACT_RANKS] = {{false}};

	if (mail->group != NULL)
		finish(mail, &mail->group);
	for (int i = mail->n - 1; i >= 0; i--)
		if (mail->end[i].request != NULL)
			finish(mail, &mail->end[i].request);
	if (mail->status != TUTTI_OK) {
		tutti_error error = TUTTI_ERROR_INIT;

		(void)tutti_last_error(&error);
		snprintf(why, bytes, "%s: %s", tutti_status_string(mail->status), error.message);
		verdict = EXACT_BROKEN;
	}
	for (int i = 0; i < mail->n; i++) {
		struct end *end = &mail->end[i];

		if (verdict == EXACT_RIGHT && !is_right(mail, end, heard[end->letter - mail->letter], why, bytes))
			verdict = EXACT_WRONG;
		free(end->memory);
	}
	free(mail);
	return verdict;
}
