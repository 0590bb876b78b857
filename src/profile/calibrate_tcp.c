/* SPDX-License-Identifier: Apache-2.0
 *
 * calibrate_tcp.c - what a message through this host's own network stack costs: end to end, for the processor that
 * posts it, and for each byte. Between two threads that wait without sleeping, as ranks do.
 */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/net.h"
#include "base/process.h"
#include "profile/calibrate.h"

#define SMALL 64
#define ROUNDS 12 /* of a batch */
#define BATCHES 4
#define LARGE ((size_t)512 << 10)
#define LARGE_ROUNDS 16 /* the best counts, and a third of them may be a quarter slower */
#define FRAMED 1.3 /* what the library's frames and its look around add to a bare message */
#define PS_PER_NS 1000.0

struct wire {
	const struct tt_calibration *calibration;
	int fd[2];
	unsigned char *memory[2]; /* LARGE bytes each */
	tt_atomic_u32 over;
	double message_ns, post_ns, byte_ps, one_way_ps;
};

/* Whole messages; false: time is up, or the other side has gone. */
static bool
move(struct wire *w, int side, bool out, size_t bytes)
{
	size_t done = 0;

	for (unsigned polls = 1; done < bytes; polls++) {
		size_t n = 0;
		const tutti_status status = out ? tt_write_some(w->fd[side], w->memory[side] + done, bytes - done, &n)
						: tt_read_some(w->fd[side], w->memory[side] + done, bytes - done, &n);

		if (status != TUTTI_OK || (n == 0 && polls % 64 == 0 && tt_calibrate_over(w->calibration)))
			tt_store_relaxed(&w->over, 1);
		if (tt_load_relaxed(&w->over) != 0)
			return false;
		done += n;
	}
	return true;
}

/* Both ways at once, as collectives do it: a rank's core copies what it sends and what it receives. */
static bool
exchange(struct wire *w, int side, size_t bytes)
{
	size_t sent = 0, received = 0;

	for (unsigned polls = 1; sent < bytes || received < bytes; polls++) {
		size_t out = 0, in = 0;
		tutti_status status = TUTTI_OK;

		if (sent < bytes)
			status = tt_write_some(w->fd[side], w->memory[side] + sent, bytes - sent, &out);
		if (status == TUTTI_OK && received < bytes)
			status = tt_read_some(w->fd[side], w->memory[side] + received, bytes - received, &in);
		if (status != TUTTI_OK || (out + in == 0 && polls % 64 == 0 && tt_calibrate_over(w->calibration)))
			tt_store_relaxed(&w->over, 1);
		if (tt_load_relaxed(&w->over) != 0)
			return false;
		sent += out;
		received += in;
	}
	return true;
}

/* One way and back, `rounds` times. Side 0 begins. */
static bool
volley(struct wire *w, int side, size_t bytes, int rounds, double *posting_ns)
{
	for (int i = 0; i < rounds; i++) {
		int64_t before;

		if (side == 1 && !move(w, side, false, bytes))
			return false;
		before = tt_now_ns();
		if (!move(w, side, true, bytes))
			return false;
		*posting_ns += (double)(tt_now_ns() - before);
		if (side == 0 && !move(w, side, false, bytes))
			return false;
	}
	return true;
}

static void
play(void *argument, int side)
{
	struct wire *w = argument;
	double posting, each;

	for (int batch = 0; batch < BATCHES; batch++) {
		const int64_t start = tt_now_ns();

		posting = 0;
		if (!volley(w, side, SMALL, ROUNDS, &posting))
			return;
		each = (double)(tt_now_ns() - start) / (2.0 * ROUNDS);
		if (side == 0 && (w->message_ns <= 0 || each < w->message_ns)) {
			w->message_ns = each;
			w->post_ns = posting / ROUNDS;
		}
	}
	for (int i = 0; i < LARGE_ROUNDS; i++) {
		const int64_t start = tt_now_ns();

		if (!exchange(w, side, LARGE))
			return;
		each = PS_PER_NS * (double)(tt_now_ns() - start) / (double)LARGE;
		if (side == 0 && (w->byte_ps <= 0 || each < w->byte_ps))
			w->byte_ps = each;
	}
	for (int i = 0; i < LARGE_ROUNDS; i++) {
		const int64_t start = tt_now_ns();

		if (!volley(w, side, LARGE, 1, &posting))
			return;
		each = PS_PER_NS * (double)(tt_now_ns() - start) / (2 * (double)LARGE);
		if (side == 0 && (w->one_way_ps <= 0 || each < w->one_way_ps))
			w->one_way_ps = each;
	}
}

static bool
connect_pair(int fd[2])
{
	struct tt_address address = {.family = 4, .ip = {127, 0, 0, 1}};
	const int64_t until = tt_now_ns() + 5 * TT_MS;
	int listener;

	fd[0] = fd[1] = -1;
	if (tt_listen_tcp(&address, NULL, &listener) != TUTTI_OK)
		return false;
	if (tt_connect_tcp(&address, &fd[0]) == TUTTI_OK)
		while (fd[1] < 0 && tt_now_ns() < until && tt_accept(listener, &fd[1]) == TUTTI_OK)
			;
	tt_fd_close(listener);
	if (fd[1] >= 0 && tt_tcp_tune(fd[0], 1000, true) == TUTTI_OK && tt_tcp_tune(fd[1], 1000, true) == TUTTI_OK)
		return true;
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			tt_fd_close(fd[i]);
	return false;
}

void
tt_calibrate_tcp(const struct tt_calibration *c)
{
	static const size_t bytes = 2 * LARGE;
	struct wire w = {.calibration = c};
	void *memory;

	if (tt_calibrate_over(c) || !connect_pair(w.fd))
		return;
	if (tt_alloc(1, bytes, "a calibration", &memory) == TUTTI_OK) {
		w.memory[0] = memory;
		w.memory[1] = w.memory[0] + LARGE;
		(void)tt_calibrate_pair(c->cpu[TT_NEAR_SELF], c->cpu[TT_NEAR_CACHE], play, &w);
		tt_free(memory);
	}
	tt_fd_close(w.fd[0]);
	tt_fd_close(w.fd[1]);
	tt_constants_set(c->constants, TT_CONSTANT_LOOP_MESSAGE, FRAMED * w.message_ns, TT_CONSTANT_MEASURED);
	tt_constants_set(c->constants, TT_CONSTANT_LOOP_POST, w.post_ns, TT_CONSTANT_MEASURED);
	tt_constants_set(c->constants, TT_CONSTANT_LOOP_BYTE, w.byte_ps, TT_CONSTANT_MEASURED);
	tt_constants_set(c->constants, TT_CONSTANT_LOOP_ONE_WAY, w.one_way_ps, TT_CONSTANT_MEASURED);
}
