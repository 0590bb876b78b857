/* SPDX-License-Identifier: Apache-2.0
 *
 * combine.c - walks lists of pieces side by side. Nearly every operand is one piece: that way is short.
 */
#include "engine/combine.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"

#define BLOCK_BYTES ((size_t)4096) /* a multiple of every element */

/* A place in a list of pieces. */
struct cursor {
	const struct tt_pieces *pieces;
	uint32_t index;
	size_t offset;
};

static size_t
cursor_room(const struct cursor *c)
{
	return c->index < c->pieces->n ? c->pieces->piece[c->index].iov_len - c->offset : 0;
}

static unsigned char *
cursor_at(const struct cursor *c)
{
	return (unsigned char *)c->pieces->piece[c->index].iov_base + c->offset;
}

static void
cursor_move(struct cursor *c, size_t n)
{
	c->offset += n;
	while (c->index < c->pieces->n && c->offset >= c->pieces->piece[c->index].iov_len) {
		c->offset -= c->pieces->piece[c->index].iov_len;
		c->index++;
	}
}

void
tt_combine_copy(struct tt_pieces dst, struct tt_pieces src)
{
	struct cursor d = {&dst, 0, 0}, s = {&src, 0, 0};

	for (;;) {
		const size_t n = tt_min_size(cursor_room(&d), cursor_room(&s));

		if (n == 0)
			return;
		if (cursor_at(&d) != cursor_at(&s))
			memcpy(cursor_at(&d), cursor_at(&s), n);
		cursor_move(&d, n);
		cursor_move(&s, n);
	}
}

/* At most TT_REDUCE_SOURCES sources, the first of which stands for `done` sources of passes before, if any. */
static void
reduce_pass(const struct tt_arithmetic *how, enum tt_finish finish, struct cursor d, struct cursor *s, int nsrc,
    int done, size_t bytes)
{
	const void *from[TT_REDUCE_SOURCES];

	while (bytes > 0) {
		size_t n = tt_min_size(bytes, cursor_room(&d));

		for (int i = 0; i < nsrc; i++) {
			n = tt_min_size(n, cursor_room(&s[i]));
			from[i] = cursor_at(&s[i]);
		}
		assert(n > 0 && n % how->element == 0);
		tt_arithmetic_reduce(how, finish, cursor_at(&d), from, nsrc, n / how->element, done);
		cursor_move(&d, n);
		for (int i = 0; i < nsrc; i++)
			cursor_move(&s[i], n);
		bytes -= n;
	}
}

static struct cursor
cursor_from(const struct tt_pieces *pieces, size_t offset)
{
	struct cursor c = {pieces, 0, 0};

	cursor_move(&c, offset);
	return c;
}

/* More sources than one pass takes: dst, which may be one of them, is written when a block has had all passes. */
static void
reduce_in_passes(const struct tt_arithmetic *how, const struct tt_pieces *dst, const struct tt_pieces *src, int nsrc,
    size_t offset, size_t bytes)
{
	_Alignas(64) unsigned char sums[BLOCK_BYTES];
	struct iovec room = {sums, bytes};
	const struct tt_pieces between = {&room, 1};
	struct cursor s[TT_REDUCE_SOURCES];

	for (int done = 0, before = 0; done < nsrc; before = done) {
		int n = 0;

		if (done > 0)
			s[n++] = cursor_from(&between, 0);
		while (n < TT_REDUCE_SOURCES && done < nsrc)
			s[n++] = cursor_from(&src[done++], offset);
		if (done < nsrc)
			reduce_pass(how, TT_FINISH_NONE, cursor_from(&between, 0), s, n, before, bytes);
		else
			reduce_pass(how, how->finish, cursor_from(dst, offset), s, n, before, bytes);
	}
}

void
tt_combine_reduce(
    const struct tt_arithmetic *how, struct tt_pieces dst, const struct tt_pieces *src, int nsrc, size_t bytes)
{
	struct cursor s[TT_REDUCE_SOURCES];

	if (nsrc > TT_REDUCE_SOURCES) {
		for (size_t done = 0; done < bytes; done += BLOCK_BYTES)
			reduce_in_passes(how, &dst, src, nsrc, done, tt_min_size(BLOCK_BYTES, bytes - done));
		return;
	}
	for (int i = 0; i < nsrc; i++)
		s[i] = (struct cursor){&src[i], 0, 0};
	reduce_pass(how, how->finish, (struct cursor){&dst, 0, 0}, s, nsrc, 0, bytes);
}

void
tt_combine_fold(void *context, size_t offset, const void *data, size_t bytes)
{
	const struct tt_fold_context *fold = context;
	struct cursor d = {&fold->dst, 0, 0}, s = {&fold->src, 0, 0};
	const unsigned char *message = data;

	cursor_move(&d, offset);
	cursor_move(&s, offset);
	while (bytes > 0) {
		const size_t n = tt_min_size(bytes, tt_min_size(cursor_room(&d), cursor_room(&s)));
		const void *from[2] = {cursor_at(&s), message};

		if (fold->message_first) {
			from[0] = message;
			from[1] = cursor_at(&s);
		}
		assert(n > 0 && n % fold->how.element == 0);
		tt_arithmetic_reduce(&fold->how, fold->how.finish, cursor_at(&d), from, 2, n / fold->how.element, 0);
		cursor_move(&d, n);
		cursor_move(&s, n);
		message += n;
		bytes -= n;
	}
}
