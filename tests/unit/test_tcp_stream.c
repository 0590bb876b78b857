/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tcp_stream.c - two streams talking to each other through memory: at every split of their bytes, in every
 * order of posting, and with a peer that lies.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "tcp/stream.h"

#define LANES 3
#define SCRATCH 1000 /* small, so that folds come in many pieces */

static uint64_t
next_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return (*state ^ *state >> 31) * UINT64_C(0xbf58476d1ce4e5b9) ^ *state >> 27;
}

static size_t
below(uint64_t *state, size_t n)
{
	return (size_t)(next_random(state) % n);
}

/* ---- a message in its own memory, with guards around each part ---- */

struct message {
	tutti_transfer transfer;
	unsigned char *bytes;
	struct iovec parts[4];
	unsigned char mark[TUTTI_MARK_BYTES];
	size_t folded;
	bool fold_wrong;
};

static unsigned char
content(uint64_t key, size_t i)
{
	return (unsigned char)((key * 131 + i * 7 + (i >> 8) * 3) & 0xff);
}

static void
make_message(struct message *m, uint32_t lane, uint64_t number, size_t bytes, bool sends, uint64_t *random)
{
	size_t done = 0;

	memset(m, 0, sizeof(*m));
	m->bytes = malloc(bytes + 1);
	memset(m->bytes, 0xEE, bytes + 1);
	for (size_t i = 0; sends && i < bytes; i++)
		m->bytes[i] = content(lane * 1000 + number, i);
	for (int i = 0; i < 4; i++) {
		const size_t n = i == 3 ? bytes - done : below(random, bytes - done + 1);

		m->parts[i] = (struct iovec){m->bytes + done, n};
		done += n;
	}
	memset(m->mark, (int)(number * 5 + lane), sizeof(m->mark));
	m->transfer = (tutti_transfer){.parts = m->parts,
	    .nparts = 4,
	    .lane = lane,
	    .bytes = bytes,
	    .mark = m->mark,
	    .grain = 1,
	    .status = TUTTI_IN_PROGRESS};
}

static void
fold_in(void *context, size_t offset, const void *data, size_t bytes)
{
	struct message *m = context;

	if (offset != m->folded || offset % m->transfer.grain != 0 || bytes % m->transfer.grain != 0 ||
	    bytes > m->transfer.bytes - offset) {
		m->fold_wrong = true;
		return;
	}
	memcpy(m->bytes + offset, data, bytes);
	m->folded += bytes;
}

static void
make_fold(struct message *m, uint32_t grain)
{
	m->transfer.parts = NULL;
	m->transfer.nparts = 0;
	m->transfer.fold = fold_in;
	m->transfer.fold_context = m;
	m->transfer.grain = grain;
}

/* The same where the order does not matter. */
static void
fold_in_anywhere(void *context, size_t offset, const void *data, size_t bytes)
{
	struct message *m = context;

	if (offset % m->transfer.grain != 0 || bytes % m->transfer.grain != 0 || offset > m->transfer.bytes ||
	    bytes > m->transfer.bytes - offset) {
		m->fold_wrong = true;
		return;
	}
	for (size_t i = 0; i < bytes; i++)
		m->bytes[offset + i] = (unsigned char)(m->bytes[offset + i] - 0xEE); /* a second time would show */
	for (size_t i = 0; i < bytes; i++)
		m->bytes[offset + i] = (unsigned char)(m->bytes[offset + i] + ((const unsigned char *)data)[i]);
	m->folded += bytes;
}

static bool
arrived(const struct message *m, uint64_t number)
{
	if (m->transfer.status != TUTTI_OK || m->fold_wrong || m->bytes[m->transfer.bytes] != 0xEE)
		return false;
	for (size_t i = 0; i < m->transfer.bytes; i++)
		if (m->bytes[i] != content(m->transfer.lane * 1000 + number, i))
			return false;
	return true;
}

/* ---- a wire without a network ---- */

static unsigned char scratch[SCRATCH];

static void
open_stream(struct tt_stream *s, uint32_t lanes)
{
	memset(s, 0, sizeof(*s));
	cr_assert(eq(int, tt_stream_init(s, lanes, scratch, sizeof(scratch)), TUTTI_OK));
	cr_assert(eq(int, tt_stream_open(s, false), TUTTI_OK));
}

/* At most n bytes of what `from` has to say. */
static size_t
take(struct tt_stream *from, unsigned char *bytes, size_t n)
{
	struct iovec *pieces;
	const int npieces = tt_stream_output(from, 0, &pieces);
	size_t done = 0;

	for (int i = 0; i < npieces && done < n; i++) {
		const size_t part = pieces[i].iov_len < n - done ? pieces[i].iov_len : n - done;

		memcpy(bytes + done, pieces[i].iov_base, part);
		done += part;
	}
	if (done > 0)
		tt_stream_written(from, 0, done);
	return done;
}

/* False: the stream found a fault. */
static bool
give(struct tt_stream *to, const unsigned char *bytes, size_t n)
{
	while (n > 0) {
		struct iovec pieces[TT_INPUT_PIECES];
		const int npieces = tt_stream_input(to, 0, pieces);
		size_t done = 0;

		for (int i = 0; i < npieces && done < n; i++) {
			const size_t part = pieces[i].iov_len < n - done ? pieces[i].iov_len : n - done;

			memcpy(pieces[i].iov_base, bytes + done, part);
			done += part;
		}
		cr_assert(gt(sz, done, (size_t)0), "the stream has nowhere to put its input");
		if (!tt_stream_read(to, 0, done))
			return false;
		bytes += done;
		n -= done;
	}
	return true;
}

/* Up to n bytes from one to the other; returns how many went. */
static size_t
carry(struct tt_stream *from, struct tt_stream *to, size_t n)
{
	unsigned char bytes[4096];
	const size_t done = take(from, bytes, n < sizeof(bytes) ? n : sizeof(bytes));

	if (done > 0)
		cr_assert(give(to, bytes, done), "a fault: %s", to->fault);
	return done;
}

static void
settle(struct tt_stream *a, struct tt_stream *b)
{
	while (carry(a, b, SIZE_MAX) + carry(b, a, SIZE_MAX) > 0)
		;
}

/* ---- tests ---- */

/* A small message, an empty one, a large one; folded or not; the receives before or after. */
static void
conversation(size_t split_every, size_t first, bool fold, bool late)
{
	enum { N = 4 };
	static const size_t sizes[N] = {100, 0, 140000, 24};
	struct tt_stream a, b;
	struct message out[N], in[N];
	uint64_t random = 5;
	size_t sent = 0, n;

	open_stream(&a, LANES);
	open_stream(&b, LANES);
	a.sips = b.sips = (split_every + first) % 2 == 0;
	for (uint64_t i = 0; i < N; i++) {
		make_message(&out[i], 1, i, sizes[i], true, &random);
		make_message(&in[i], 1, i, sizes[i], false, &random);
		if (fold)
			make_fold(&in[i], i == 0 ? 4 : 8);
	}
	for (int i = 0; i < N && !late; i++)
		tt_stream_recv(&b, &in[i].transfer);
	for (int i = 0; i < N; i++)
		tt_stream_send(&a, &out[i].transfer);
	while (sent < first && (n = carry(&a, &b, split_every < first - sent ? split_every : first - sent)) > 0)
		sent += n;
	for (int i = 0; i < N && late; i++)
		tt_stream_recv(&b, &in[i].transfer);
	while (carry(&a, &b, split_every) + carry(&b, &a, split_every) > 0)
		;
	for (uint64_t i = 0; i < N; i++) {
		cr_assert(eq(int, out[i].transfer.status, TUTTI_OK), "message %zu", (size_t)i);
		cr_assert(arrived(&in[i], i), "message %zu", (size_t)i);
		free(out[i].bytes);
		free(in[i].bytes);
	}
	cr_assert(eq(sz, a.pending + b.pending, (size_t)0));
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

Test(tcp_stream, arrives_at_every_split, .timeout = 60)
{
	for (size_t first = 1; first < 300; first++) {
		conversation(4096, first, false, false);
		conversation(4096, first, true, false);
		conversation(4096, first, false, true);
		conversation(4096, first, true, true);
	}
}

Test(tcp_stream, arrives_byte_by_byte, .timeout = 60)
{
	for (size_t split = 1; split < 70; split += split < 9 ? 1 : 13) {
		conversation(split, 1, false, false);
		conversation(split, 1, true, false);
		conversation(split, 200, false, true);
		conversation(split, 200, true, true);
	}
}

/* How much is asked for at most. */
static size_t
asks_for(struct tt_stream *s)
{
	struct iovec pieces[TT_INPUT_PIECES];
	const int npieces = tt_stream_input(s, 0, pieces);
	size_t bytes = 0;

	for (int i = 0; i < npieces; i++)
		bytes += pieces[i].iov_len;
	return bytes;
}

/* One message, read as whoever waits for it reads: what is on the way in front of it and behind it is in `wire`. Returns
 * how much was left there. */
static size_t
sip(struct tt_stream *from, struct tt_stream *to, uint64_t number, unsigned char *wire, size_t here)
{
	struct message out, in;
	uint64_t random = number;
	size_t first = 0;

	make_message(&out, 1, number, 24, true, &random);
	make_message(&in, 1, number, 24, false, &random);
	tt_stream_recv(to, &in.transfer);
	tt_stream_send(from, &out.transfer);
	here += take(from, wire + here, 1000);
	while (in.transfer.status == TUTTI_IN_PROGRESS && first < here) {
		const size_t room = asks_for(to), n = room < here - first ? room : here - first;

		cr_assert(give(to, wire + first, n), "a fault: %s", to->fault);
		first += n;
	}
	cr_assert(arrived(&in, number));
	cr_assert(eq(int, out.transfer.status, TUTTI_OK));
	free(out.bytes);
	free(in.bytes);
	memmove(wire, wire + first, here - first);
	return here - first;
}

Test(tcp_stream, the_byte_behind_a_message_is_left_where_an_acknowledgement_would_follow_and_read_once_in_a_while)
{
	struct tt_stream a, b;
	unsigned char wire[2000], back[200];
	uint64_t number = 0, random = 3;
	size_t here = 0, left = 0;
	struct message out;

	open_stream(&a, LANES);
	open_stream(&b, LANES);
	b.sips = true;
	/* The first after something was written needs no acknowledgement of its own. */
	here = sip(&a, &b, number++, wire, here);
	cr_assert(eq(sz, here, (size_t)0));
	here = sip(&a, &b, number++, wire, here);
	cr_assert(eq(sz, here, (size_t)1));
	/* If nothing is written, all is read sooner or later. */
	for (int i = 0; i < 8; i++) {
		here = sip(&a, &b, number++, wire, here);
		left += here == 0;
	}
	cr_assert(ge(sz, left, (size_t)1));
	/* What is written acknowledges everything. */
	make_message(&out, 0, 0, 8, true, &random);
	tt_stream_send(&b, &out.transfer);
	cr_assert(gt(sz, take(&b, back, sizeof(back)), (size_t)0));
	here = sip(&a, &b, number++, wire, here);
	cr_assert(eq(sz, here, (size_t)0));
	free(out.bytes);
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

/* A message of 1000 bytes; returns how many bytes went over the wire for it, read in pieces of at most `split`. */
static size_t
middling(struct tt_stream *from, struct tt_stream *to, uint64_t number, size_t split)
{
	static unsigned char wire[70000];
	struct message out, in;
	uint64_t random = number;
	size_t here, first = 0;

	make_message(&out, 1, number, 1000, true, &random);
	make_message(&in, 1, number, 1000, false, &random);
	tt_stream_recv(to, &in.transfer);
	tt_stream_send(from, &out.transfer);
	here = take(from, wire, sizeof(wire));
	while (first < here) {
		const size_t room = asks_for(to), most = room < split ? room : split;
		const size_t n = most < here - first ? most : here - first;

		cr_assert(give(to, wire + first, n), "a fault: %s", to->fault);
		first += n;
	}
	cr_assert(arrived(&in, number));
	free(out.bytes);
	free(in.bytes);
	return here;
}

Test(tcp_stream, within_a_host_a_kernel_that_knows_only_small_messages_sees_one_large_piece, .timeout = 60)
{
	static const size_t splits[] = {1, 100, 5000, SIZE_MAX};

	for (int k = 0; k < 8; k++) {
		struct tt_stream a, b;
		size_t large = 0;

		open_stream(&a, LANES);
		open_stream(&b, LANES);
		a.sips = k < 4;
		b.sips = k % 2 == 0;
		for (uint64_t number = 0; number < 40; number++)
			large += middling(&a, &b, number, splits[k % 4]) > 30000;
		cr_assert(eq(sz, large, (size_t)a.sips));
		tt_stream_fini(&a);
		tt_stream_fini(&b);
	}
}

/* What is on the way on one channel: the next reader may not want it yet. */
struct pipe {
	unsigned char bytes[8192];
	size_t first, last;
};

/* Up to n bytes into the pipe, or out of it; returns how many moved. */
static size_t
pour_in(struct tt_stream *from, int channel, struct pipe *pipe, size_t n)
{
	struct iovec *pieces;
	size_t done = 0;

	if (pipe->first < pipe->last || !tt_stream_has_output(from, channel))
		return 0;
	pipe->first = pipe->last = 0;
	n = n < sizeof(pipe->bytes) ? n : sizeof(pipe->bytes);
	for (int i = 0, npieces = tt_stream_output(from, channel, &pieces); i < npieces && done < n; i++) {
		const size_t part = pieces[i].iov_len < n - done ? pieces[i].iov_len : n - done;

		memcpy(pipe->bytes + done, pieces[i].iov_base, part);
		done += part;
	}
	pipe->last = done;
	tt_stream_written(from, channel, done);
	return done;
}

static size_t
pour_out(struct tt_stream *to, int channel, struct pipe *pipe, size_t n)
{
	struct iovec pieces[TT_INPUT_PIECES];
	const size_t here = pipe->last - pipe->first;
	const int npieces = here > 0 ? tt_stream_input(to, channel, pieces) : 0;
	size_t done = 0;

	n = n < here ? n : here;
	for (int i = 0; i < npieces && done < n; i++) {
		const size_t part = pieces[i].iov_len < n - done ? pieces[i].iov_len : n - done;

		memcpy(pieces[i].iov_base, pipe->bytes + pipe->first + done, part);
		done += part;
	}
	pipe->first += done;
	if (done > 0)
		cr_assert(tt_stream_read(to, channel, done), "a fault: %s", to->fault);
	return done;
}

/* Large messages and small ones over several channels, one of them slow; also with checksums. */
static void
wide(uint64_t seed, int width, bool sums)
{
	enum { N = 24 };
	static struct pipe pipes[2][TT_CHANNELS];
	struct tt_stream s[2];
	struct message *out = calloc(2 * N, sizeof(*out)), *in = calloc(2 * N, sizeof(*in));
	uint64_t random = seed, numbers[2][LANES] = {{0}}, key[2][N];
	size_t sent[2] = {0}, received[2] = {0}, idle = 0;
	uint64_t by_others = 0;

	memset(pipes, 0, sizeof(pipes));
	for (int way = 0; way < 2; way++) {
		open_stream(&s[way], LANES);
		s[way].sums = sums;
		s[way].sips = seed % 2 == 0;
		for (size_t i = 0; i < N; i++) {
			const uint32_t lane = (uint32_t)below(&random, LANES);
			const size_t bytes = 8 * below(&random, below(&random, 2) == 0 ? 90000 : 90);

			key[way][i] = numbers[way][lane]++;
			make_message(&out[way * N + i], lane, key[way][i], bytes, true, &random);
			make_message(&in[way * N + i], lane, key[way][i], bytes, false, &random);
			if (below(&random, 2) == 0)
				make_fold(&in[way * N + i], 1u << below(&random, 4));
			if (in[way * N + i].transfer.fold != NULL && below(&random, 2) == 0) {
				in[way * N + i].transfer.fold = fold_in_anywhere;
				in[way * N + i].transfer.any_order = 1;
			}
		}
	}
	while (idle < 4000) {
		const size_t way = below(&random, 2), what = below(&random, 9);
		const int channel = (int)below(&random, (size_t)width + 1);

		idle++;
		if (what == 0 && sent[way] < N)
			tt_stream_send(&s[way], &out[way * N + sent[way]++].transfer);
		else if (what == 1 && received[way] < N)
			tt_stream_recv(&s[1 - way], &in[way * N + received[way]++].transfer);
		else if (what == 2 && channel > 0 && s[0].channels[channel] == NULL && s[0].large) {
			cr_assert(eq(int, tt_stream_widen(&s[0], channel), TUTTI_OK));
			cr_assert(eq(int, tt_stream_widen(&s[1], channel), TUTTI_OK));
			s[0].channels[channel]->chunk_bytes = 8 + 8 * below(&random, 5000);
		} else if (s[0].channels[channel] == NULL ||
			   pour_in(&s[way], channel, &pipes[way][channel], 1 + below(&random, 5000)) +
				   pour_out(&s[1 - way], channel, &pipes[way][channel], 1 + below(&random, 9000)) ==
			       0)
			continue;
		idle = 0;
	}
	for (int way = 0; way < 2; way++) {
		for (size_t i = 0; i < N; i++) {
			cr_assert(eq(int, out[way * N + i].transfer.status, TUTTI_OK), "seed %d", (int)seed);
			cr_assert(arrived(&in[way * N + i], key[way][i]), "seed %d message %zu", (int)seed, i);
			free(out[way * N + i].bytes);
			free(in[way * N + i].bytes);
		}
		for (int i = 1; i < s[way].nchannels; i++)
			by_others += s[way].channels[i] != NULL ? s[way].channels[i]->out.written : 0;
		tt_stream_fini(&s[way]);
	}
	cr_assert(width == 0 || by_others > 0);
	free(out);
	free(in);
}

Test(tcp_stream, chunks_come_by_any_channel_in_any_order, .timeout = 60)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		wide(seed, 1 + (int)(seed % 5), seed % 4 == 0);
}

Test(tcp_stream, checksums_follow_the_bytes_at_every_split, .timeout = 60)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		wide(seed, 0, true);
}

/* A byte that is not what was sent, in a small message and in a large one. */
Test(tcp_stream, a_damaged_byte_is_found_by_the_checksum, .timeout = 60)
{
	static const size_t sizes[] = {1, 31, 640, 66000, 140000, 300000};

	for (size_t i = 0; i < TT_COUNT_OF(sizes); i++) {
		struct tt_stream a, b;
		struct message out, in;
		uint64_t random = i;
		unsigned char bytes[4096];
		bool good = true;
		size_t n;

		open_stream(&a, 1);
		open_stream(&b, 1);
		a.sums = b.sums = true;
		make_message(&out, 0, 0, sizes[i], true, &random);
		make_message(&in, 0, 0, sizes[i], false, &random);
		tt_stream_recv(&b, &in.transfer);
		tt_stream_send(&a, &out.transfer);
		/* The grant; then the head is out of the way, or comes now together with the bytes. */
		while (sizes[i] > a.eager_most && carry(&a, &b, TT_FRAME_LONG) + carry(&b, &a, SIZE_MAX) > 0 &&
		       a.first.out.written < TT_FRAME_LONG + TT_FRAME_SHORT)
			;
		n = take(&a, bytes, sizeof(bytes));
		bytes[sizes[i] > a.eager_most ? 0 : TT_FRAME_LONG] ^= 4;
		good = give(&b, bytes, n);
		while (good && (n = take(&a, bytes, sizeof(bytes))) > 0)
			good = give(&b, bytes, n);
		cr_assert(not(good), "%zu bytes", sizes[i]);
		cr_assert(strstr(b.fault, "damaged") != NULL);
		cr_assert(eq(int, in.transfer.status, TUTTI_IN_PROGRESS));
		tt_stream_end(&a, TUTTI_ERR_PEER);
		tt_stream_end(&b, TUTTI_ERR_PEER);
		free(out.bytes);
		free(in.bytes);
		tt_stream_fini(&a);
		tt_stream_fini(&b);
	}
}

/* Everything at random, both ways. */
static void
tangle(uint64_t seed)
{
	enum { N = 60 };
	struct tt_stream s[2];
	struct message *out = calloc(2 * N, sizeof(*out)), *in = calloc(2 * N, sizeof(*in));
	size_t sent[2] = {0}, received[2] = {0};
	uint64_t random = seed, numbers[2][LANES] = {{0}}, key[2][N];
	size_t idle = 0;

	open_stream(&s[0], LANES);
	open_stream(&s[1], LANES);
	for (int way = 0; way < 2; way++) {
		for (size_t i = 0; i < N; i++) {
			const uint32_t lane = (uint32_t)below(&random, LANES);
			const size_t bytes =
			    below(&random, 4) == 0 ? 8 * below(&random, 100000) : 8 * below(&random, 90);

			key[way][i] = numbers[way][lane]++;
			make_message(&out[way * N + i], lane, key[way][i], bytes, true, &random);
			make_message(&in[way * N + i], lane, key[way][i], bytes, false, &random);
			if (below(&random, 2) == 0)
				make_fold(&in[way * N + i], 1u << below(&random, 4));
		}
	}
	while (idle < 1000) {
		const size_t way = below(&random, 2), what = below(&random, 6);

		idle++;
		if (what == 0 && sent[way] < N) {
			tt_stream_send(&s[way], &out[way * N + sent[way]++].transfer);
			idle = 0;
		} else if (what == 1 && received[way] < N) {
			tt_stream_recv(&s[1 - way], &in[way * N + received[way]++].transfer);
			idle = 0;
		} else if (what > 1 && carry(&s[way], &s[1 - way], 1 + below(&random, 5000)) > 0) {
			idle = 0;
		}
	}
	for (int way = 0; way < 2; way++) {
		for (size_t i = 0; i < N; i++) {
			cr_assert(eq(int, out[way * N + i].transfer.status, TUTTI_OK), "seed %d", (int)seed);
			cr_assert(arrived(&in[way * N + i], key[way][i]), "seed %d message %zu", (int)seed, i);
			free(out[way * N + i].bytes);
			free(in[way * N + i].bytes);
		}
	}
	tt_stream_fini(&s[0]);
	tt_stream_fini(&s[1]);
	free(out);
	free(in);
}

Test(tcp_stream, arrives_in_any_order_of_posting_and_carrying, .timeout = 60)
{
	for (uint64_t seed = 1; seed <= 40; seed++)
		tangle(seed);
}

Test(tcp_stream, an_unposted_lane_delays_no_other_and_is_bounded, .timeout = 60)
{
	enum { FLOOD = 3000 };
	struct tt_stream a, b;
	struct message *flood = calloc(FLOOD, sizeof(*flood)), out, in;
	uint64_t random = 1;
	size_t gone = 0;

	open_stream(&a, LANES);
	open_stream(&b, LANES);
	for (uint64_t i = 0; i < FLOOD; i++) {
		make_message(&flood[i], 0, i, i % 50 == 49 ? 300000 : 1000, true, &random);
		tt_stream_send(&a, &flood[i].transfer);
	}
	settle(&a, &b);
	for (size_t i = 0; i < FLOOD; i++)
		gone += flood[i].transfer.status == TUTTI_OK;
	cr_assert(gt(sz, gone, (size_t)10));
	cr_assert(lt(sz, gone * 1024, (size_t)a.credit_units * TT_UNIT));
	make_message(&out, 1, 0, 400000, true, &random);
	make_message(&in, 1, 0, 400000, false, &random);
	tt_stream_recv(&b, &in.transfer);
	tt_stream_send(&a, &out.transfer);
	settle(&a, &b);
	cr_assert(arrived(&in, 0));
	/* And the flood arrives after all. */
	for (uint64_t i = 0; i < FLOOD; i++) {
		struct message late;

		make_message(&late, 0, i, flood[i].transfer.bytes, false, &random);
		tt_stream_recv(&b, &late.transfer);
		settle(&a, &b);
		cr_assert(arrived(&late, i), "message %zu", (size_t)i);
		free(late.bytes);
		free(flood[i].bytes);
	}
	free(out.bytes);
	free(in.bytes);
	free(flood);
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

/* sent and expected lengths, other marks or not, which side posts first. */
static void
disagree(size_t sent, size_t expected, bool other_mark, bool recv_first)
{
	struct tt_stream a, b;
	struct message out, in;
	uint64_t random = 1;

	open_stream(&a, 1);
	open_stream(&b, 1);
	make_message(&out, 0, 0, sent, true, &random);
	make_message(&in, 0, 0, expected, false, &random);
	if (other_mark)
		in.mark[31] ^= 1;
	if (recv_first) {
		tt_stream_recv(&b, &in.transfer);
		settle(&a, &b);
	}
	tt_stream_send(&a, &out.transfer);
	settle(&a, &b);
	if (!recv_first) {
		tt_stream_recv(&b, &in.transfer);
		settle(&a, &b);
	}
	cr_assert(a.differs && b.differs);
	/* As the links will do now. */
	tt_stream_end(&a, TUTTI_ERR_MISMATCH);
	tt_stream_end(&b, TUTTI_ERR_MISMATCH);
	cr_assert(eq(int, in.transfer.status, TUTTI_ERR_MISMATCH));
	cr_assert(eq(sz, in.transfer.peer_bytes, sent));
	cr_assert(eq(int, memcmp(in.transfer.peer_mark, out.mark, TUTTI_MARK_BYTES), 0));
	if (sent > a.eager_most) {
		cr_assert(eq(int, out.transfer.status, TUTTI_ERR_MISMATCH));
		cr_assert(eq(sz, out.transfer.peer_bytes, expected));
		cr_assert(eq(int, memcmp(out.transfer.peer_mark, in.mark, TUTTI_MARK_BYTES), 0));
	}
	for (size_t i = 0; i < expected; i++)
		cr_assert(eq(u8, in.bytes[i], 0xEE), "a message that differs was delivered");
	free(out.bytes);
	free(in.bytes);
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

/* All-reduces of a round size bring a note of a few bytes with each message. */
Test(tcp_stream, a_message_of_128_kib_and_a_note_is_not_asked_for, .timeout = 60)
{
	const size_t bytes = (128 << 10) + 8;
	struct tt_stream a, b;
	struct message out, in;
	uint64_t random = 1;

	open_stream(&a, 8);
	open_stream(&b, 8);
	make_message(&out, 0, 0, bytes, true, &random);
	make_message(&in, 0, 0, bytes, false, &random);
	tt_stream_recv(&b, &in.transfer);
	cr_assert(eq(sz, carry(&b, &a, SIZE_MAX), (size_t)0), "the receiver said something first");
	tt_stream_send(&a, &out.transfer);
	while (carry(&a, &b, SIZE_MAX) > 0)
		;
	cr_assert(arrived(&in, 0), "it waits for an answer");
	free(out.bytes);
	free(in.bytes);
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

/* What is small is known when the link is open. */
static void
posted_before_open(bool several, uint64_t seed)
{
	enum { N = 60 };
	static const size_t sizes[] = {0, 40, 5000, 33000, 33024, 33025, 66000, 131328, 131329, 300000};
	struct tt_stream a, b;
	struct message out[N], in[N];
	uint64_t random = seed;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	cr_assert(eq(int, tt_stream_init(&a, 8, scratch, sizeof(scratch)), TUTTI_OK));
	cr_assert(eq(int, tt_stream_init(&b, 8, scratch, sizeof(scratch)), TUTTI_OK));
	for (uint64_t i = 0; i < N; i++) {
		const size_t bytes = sizes[below(&random, TT_COUNT_OF(sizes))];

		make_message(&out[i], 0, i, bytes, true, &random);
		make_message(&in[i], 0, i, bytes, false, &random);
		if (i < N / 2) {
			tt_stream_send(&a, &out[i].transfer);
			tt_stream_recv(&b, &in[i].transfer);
		}
	}
	cr_assert(not(tt_stream_has_output(&a, 0)), "it says something before it is open");
	cr_assert(eq(int, tt_stream_open(&a, several), TUTTI_OK));
	cr_assert(eq(int, tt_stream_open(&b, several), TUTTI_OK));
	settle(&a, &b);
	for (uint64_t i = N / 2; i < N; i++) {
		tt_stream_send(&a, &out[i].transfer);
		settle(&a, &b);
		tt_stream_recv(&b, &in[i].transfer);
		settle(&a, &b);
	}
	for (uint64_t i = 0; i < N; i++) {
		cr_assert(arrived(&in[i], i), "message %zu of %zu bytes", (size_t)i, in[i].transfer.bytes);
		cr_assert(eq(int, out[i].transfer.status, TUTTI_OK));
		free(out[i].bytes);
		free(in[i].bytes);
	}
	cr_assert(eq(u32, a.lanes[0].units_out, b.lanes[0].units_used), "credit is lost");
	cr_assert(eq(sz, a.pending + b.pending, (size_t)0));
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

Test(tcp_stream, what_is_posted_before_a_link_is_open_arrives_as_if_it_were_posted_then, .timeout = 60)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		posted_before_open(false, seed);
		posted_before_open(true, seed);
	}
}

/* Room for early messages is much, and most of it is never touched: who takes what has come leaves it as new. */
Test(tcp_stream, early_messages_take_the_same_room_again_and_again, .timeout = 60)
{
	enum { N = 200, BYTES = 10000, UNTOUCHED = 0x5A };
	struct tt_stream a, b;
	size_t size, used = 0;
	uint64_t random = 1;

	open_stream(&a, 1);
	open_stream(&b, 1);
	size = (size_t)b.credit_units * TT_UNIT;
	memset(b.rings, UNTOUCHED, size);
	for (uint64_t i = 0; i < N; i++) {
		struct message out, in;

		make_message(&out, 0, i, BYTES, true, &random);
		make_message(&in, 0, i, BYTES, false, &random);
		tt_stream_send(&a, &out.transfer);
		settle(&a, &b);
		tt_stream_recv(&b, &in.transfer);
		settle(&a, &b);
		cr_assert(arrived(&in, i));
		free(out.bytes);
		free(in.bytes);
	}
	for (size_t i = 0; i < size; i++)
		if (b.rings[i] != UNTOUCHED)
			used = i + 1;
	cr_assert(ge(sz, used, (size_t)BYTES));
	cr_assert(le(sz, used, (size_t)BYTES + 2 * TT_UNIT));
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

Test(tcp_stream, a_difference_is_known_to_both, .timeout = 60)
{
	static const size_t sizes[] = {0, 8, (128 << 10) + 256, (128 << 10) + 257, 1000000};

	for (int recv_first = 0; recv_first < 2; recv_first++) {
		for (size_t i = 0; i < 5; i++) {
			disagree(sizes[i], sizes[i], true, recv_first);
			for (size_t j = 0; j < 5; j++)
				if (i != j)
					disagree(sizes[i], sizes[j], false, recv_first);
		}
	}
}

Test(tcp_stream, the_end_ends_everything_wherever_it_is, .timeout = 60)
{
	for (uint64_t seed = 0; seed < 300; seed++) {
		enum { N = 30 };
		struct tt_stream a, b;
		struct message m[N];
		uint64_t random = seed, number[2][LANES] = {{0}};

		open_stream(&a, LANES);
		open_stream(&b, LANES);
		for (int i = 0; i < N; i++) {
			const uint32_t lane = (uint32_t)below(&random, LANES);
			const int side = (int)below(&random, 2);

			const uint64_t k = number[side][lane]++;

			make_message(&m[i], lane, k, (lane * 7919 + k * 104729) % 200000, side == 0, &random);
			if (side == 0)
				tt_stream_send(&a, &m[i].transfer);
			else
				tt_stream_recv(&b, &m[i].transfer);
			carry(&a, &b, below(&random, 3000));
			carry(&b, &a, below(&random, 300));
		}
		tt_stream_end(&a, TUTTI_ERR_PEER);
		tt_stream_end(&b, TUTTI_ERR_PEER);
		cr_assert(eq(sz, a.pending + b.pending, (size_t)0));
		cr_assert(not(a.differs || b.differs));
		for (int i = 0; i < N; i++) {
			cr_assert(ne(int, m[i].transfer.status, TUTTI_IN_PROGRESS));
			free(m[i].bytes);
		}
		tt_stream_fini(&a);
		tt_stream_fini(&b);
	}
}

Test(tcp_stream, goodbye_is_the_last_word, .timeout = 60)
{
	struct tt_stream a, b;
	struct message out, in, never;
	uint64_t random = 1;

	open_stream(&a, 1);
	open_stream(&b, 1);
	make_message(&out, 0, 0, 5000, true, &random);
	make_message(&never, 0, 1, 500000, true, &random);
	make_message(&in, 0, 0, 5000, false, &random);
	tt_stream_send(&a, &out.transfer);
	carry(&a, &b, 1000);
	tt_stream_send(&a, &never.transfer);
	tt_stream_leave(&a);
	settle(&a, &b);
	cr_assert(b.left);
	cr_assert(eq(int, never.transfer.status, TUTTI_IN_PROGRESS));
	/* What had come before is there to be received. */
	tt_stream_recv(&b, &in.transfer);
	cr_assert(arrived(&in, 0));
	tt_stream_end(&a, TUTTI_ERR_ABORTED);
	free(out.bytes);
	free(in.bytes);
	free(never.bytes);
	tt_stream_fini(&a);
	tt_stream_fini(&b);
}

/* ---- a peer that lies ---- */

static struct message posted[4];

/* Two receives and two sends are pending, small and large. */
static void
open_victim(struct tt_stream *s, uint64_t *random)
{
	open_stream(s, LANES);
	for (int i = 0; i < 4; i++) {
		make_message(&posted[i], i % 2 == 0 ? 0 : 1, 0, i < 2 ? 640 : 400000, i >= 2, random);
		if (i < 2)
			tt_stream_recv(s, &posted[i].transfer);
		else
			tt_stream_send(s, &posted[i].transfer);
	}
}

static void
close_victim(struct tt_stream *s)
{
	tt_stream_end(s, TUTTI_ERR_PEER);
	cr_assert(eq(sz, s->pending, (size_t)0));
	for (int i = 0; i < 4; i++) {
		cr_assert(eq(u8, posted[i].bytes[posted[i].transfer.bytes], 0xEE));
		free(posted[i].bytes);
	}
	tt_stream_fini(s);
}

Test(tcp_stream, every_flipped_bit_of_a_header_is_a_fault, .timeout = 60)
{
	for (size_t bit = 0; bit < 8 * TT_FRAME_LONG; bit++) {
		struct tt_stream s;
		struct tt_frame frame = {.kind = TT_FRAME_EAGER, .lane = 0, .number = 0, .size = 640};
		unsigned char bytes[TT_FRAME_LONG];
		uint64_t random = 1;

		open_victim(&s, &random);
		memcpy(frame.mark, posted[0].mark, sizeof(frame.mark));
		tt_frame_encode(&frame, bytes);
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		cr_assert(not(give(&s, bytes, sizeof(bytes))), "bit %zu", bit);
		cr_assert(s.fault != NULL);
		cr_assert(eq(int, posted[0].transfer.status, TUTTI_IN_PROGRESS));
		close_victim(&s);
	}
}

static uint64_t
hostile(uint64_t *random)
{
	static const uint64_t numbers[] = {0, 1, 2, 3, 8, 63, 64, 640, 65535, 65536, 65537, 131072, 131328, 131329,
	    262144, 262145, 400000, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX / 2, UINT64_MAX - 7, UINT64_MAX};

	return numbers[below(random, TT_COUNT_OF(numbers))];
}

Test(tcp_stream, lies_are_found_or_harmless, .timeout = 60)
{
	size_t faults = 0;

	for (uint64_t seed = 0; seed < 2000; seed++) {
		struct tt_stream s;
		uint64_t random = seed;
		bool good = true;

		open_victim(&s, &random);
		for (int i = 0; i < 40 && good && !s.left && !s.differs; i++) {
			struct tt_frame frame = {.kind = (enum tt_frame_kind)(1 + below(&random, TT_FRAME_AGREE))};
			unsigned char bytes[TT_FRAME_LONG + 700];
			size_t n;

			frame.lane =
			    below(&random, 8) == 0 ? (uint32_t)hostile(&random) : (uint32_t)below(&random, LANES);
			frame.number = below(&random, 3) == 0 ? hostile(&random) : below(&random, 3);
			frame.size = hostile(&random);
			frame.count = below(&random, 2) == 0 ? 0 : (uint32_t)hostile(&random);
			memcpy(frame.mark, posted[below(&random, 4)].mark, sizeof(frame.mark));
			n = tt_frame_encode(&frame, bytes);
			for (size_t end = n + below(&random, 700); n < end; n++)
				bytes[n] = (unsigned char)next_random(&random);
			good = give(&s, bytes, below(&random, 2) == 0 ? tt_frame_bytes(frame.kind) : n);
			/* What it says in return must stay in bounds as well. */
			while (good && take(&s, bytes, sizeof(bytes)) > 0 && below(&random, 4) != 0)
				;
		}
		faults += !good;
		cr_assert(good == (s.fault == NULL));
		close_victim(&s);
	}
	cr_assert(gt(sz, faults, (size_t)500));
}

Test(tcp_stream, noise_is_found, .timeout = 60)
{
	for (uint64_t seed = 0; seed < 500; seed++) {
		struct tt_stream s;
		uint64_t random = seed;
		unsigned char bytes[256];

		open_victim(&s, &random);
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)next_random(&random);
		cr_assert(not(give(&s, bytes, sizeof(bytes))));
		close_victim(&s);
	}
}

/* Frames that are well formed and come at the wrong time. */
static const char *
fault_of(struct tt_frame frame)
{
	struct tt_stream s;
	unsigned char bytes[TT_FRAME_LONG];
	uint64_t random = 1;
	const char *fault;

	open_victim(&s, &random);
	fault = give(&s, bytes, tt_frame_encode(&frame, bytes)) ? NULL : s.fault;
	close_victim(&s);
	return fault;
}

Test(tcp_stream, what_may_not_be_said_is_a_fault, .timeout = 60)
{
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_EAGER, .lane = LANES}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_EAGER, .number = 1}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_EAGER, .size = (129 << 10) + 1}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_EAGER, .size = UINT64_MAX}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_OFFER, .size = 640}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_OFFER, .size = UINT64_MAX, .lane = 2}) == NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_CHUNK, .count = 8}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_GRANT, .size = 640}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_REFUSE}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_CREDIT, .count = 1u << 20}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_CHOOSE}) != NULL);
	cr_assert(fault_of((struct tt_frame){.kind = TT_FRAME_AGREE}) != NULL);
}

Test(tcp_stream, credit_that_was_not_given_is_a_fault, .timeout = 60)
{
	struct tt_stream s;
	unsigned char bytes[TT_FRAME_LONG + 1024];
	bool good = true;
	size_t sent = 0;

	open_stream(&s, 1);
	memset(bytes, 1, sizeof(bytes));
	for (uint64_t i = 0; good && i < 100000; i++, sent += good) {
		const struct tt_frame frame = {.kind = TT_FRAME_EAGER, .number = i, .size = 1024};

		tt_frame_encode(&frame, bytes);
		good = give(&s, bytes, sizeof(bytes));
	}
	cr_assert(not(good));
	cr_assert(eq(sz, sent, (size_t)s.credit_units / 17));
	tt_stream_fini(&s);
}

Test(tcp_stream, grants_beyond_the_window_are_a_fault, .timeout = 60)
{
	struct tt_stream s;
	unsigned char bytes[TT_FRAME_LONG];
	bool good = true;
	size_t taken = 0;

	open_stream(&s, 1);
	for (uint64_t i = 0; good && i < 100; i++, taken += good) {
		const struct tt_frame frame = {.kind = TT_FRAME_GRANT, .number = i, .size = 1 << 20};

		good = give(&s, bytes, tt_frame_encode(&frame, bytes));
	}
	cr_assert(not(good));
	cr_assert(eq(sz, taken, (size_t)TT_GRANTS));
	tt_stream_fini(&s);
}

/* A chunk that is granted, but longer than its message, at another place, or torn. */
Test(tcp_stream, chunks_must_fit, .timeout = 60)
{
	static const struct {
		uint64_t offset;
		uint32_t count;
		bool good;
	} cases[] = {{0, 262144, true}, {0, 8, true}, {0, 0, false}, {0, 7, false}, {8, 8, false}, {0, 262152, false},
	    {UINT64_MAX, 8, false}, {0, UINT32_MAX, false}};

	for (size_t i = 0; i < TT_COUNT_OF(cases); i++) {
		struct tt_stream s;
		struct message in;
		unsigned char bytes[TT_FRAME_LONG];
		struct tt_frame frame = {.kind = TT_FRAME_OFFER, .size = 300000};
		uint64_t random = 1;
		bool good;

		open_stream(&s, 1);
		make_message(&in, 0, 0, 300000, false, &random);
		tt_stream_recv(&s, &in.transfer);
		cr_assert(eq(sz, take(&s, bytes, sizeof(bytes)), (size_t)TT_FRAME_LONG));
		memcpy(frame.mark, in.mark, sizeof(frame.mark));
		cr_assert(give(&s, bytes, tt_frame_encode(&frame, bytes)));
		frame = (struct tt_frame){.kind = TT_FRAME_CHUNK, .size = cases[i].offset, .count = cases[i].count};
		good = give(&s, bytes, tt_frame_encode(&frame, bytes));
		cr_assert(good == cases[i].good, "case %zu", i);
		tt_stream_end(&s, TUTTI_ERR_PEER);
		free(in.bytes);
		tt_stream_fini(&s);
	}
}
