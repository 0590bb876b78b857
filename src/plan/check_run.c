/* SPDX-License-Identifier: Apache-2.0
 *
 * check_run.c - runs plans in the checker's world.
 *
 * Lanes run until they wait for something that has not happened yet; whoever makes it happen readies them again. A
 * post marks its memory until the wait, so that whoever touches it in between is caught.
 */
#include <string.h>

#include "base/error.h"
#include "plan/check.h"

enum { FIRST_CHANNELS = 256, FIRST_MESSAGES = 128 };

static struct tt_fiber *
fiber_of(struct tt_world *w, uint32_t i)
{
	return &w->fibers[i];
}

static void
make_ready(struct tt_world *w, uint32_t *waiter)
{
	if (*waiter == 0)
		return;
	const uint32_t i = *waiter - 1;

	*waiter = 0;
	if (!w->fibers[i].ready) {
		w->fibers[i].ready = true;
		w->ready[w->nready++] = i;
	}
}

static tutti_status
channel_of(struct tt_world *w, int src, int dst, int lane, uint32_t *channel)
{
	int32_t *first = &w->pair[(size_t)src * (size_t)w->nranks + (size_t)dst];

	if (*first < 0) {
		size_t room = w->channels_room;

		TT_TRY(tt_world_grow((void **)&w->channels, w->nchannels, &room,
		    w->nchannels + (size_t)w->window + FIRST_CHANNELS, sizeof(*w->channels)));
		w->channels_room = (uint32_t)room;
		*first = (int32_t)w->nchannels;
		w->nchannels += (uint32_t)w->window;
		for (int l = 0; l < w->window; l++)
			w->channels[*first + l] = (struct tt_channel){.src = src, .dst = dst};
	}
	*channel = (uint32_t)(*first + lane);
	return TUTTI_OK;
}

/* ---- operands ------------------------------------------------------------------------------------------------ */

static uint32_t
cell_at(const struct tt_world *w, struct tt_cells cells, size_t i)
{
	return cells.scattered ? w->index[cells.at + i] : cells.at + (uint32_t)i;
}

/* Do the pieces follow each other without gaps? Most spans are one piece. */
static bool
is_one_run(const struct tt_piece *pieces, int npieces)
{
	for (int i = 1; i < npieces; i++)
		if (pieces[i].begin != pieces[i - 1].begin + pieces[i - 1].len)
			return false;
	return true;
}

static tutti_status
list_scattered(struct tt_world *w, const struct tt_fiber *f, int npieces, size_t len)
{
	TT_TRY(tt_world_grow((void **)&w->index, w->nindex, &w->index_room, w->nindex + len, sizeof(*w->index)));
	for (int i = 0; i < npieces; i++)
		for (size_t k = 0; k < w->pieces[i].len; k++)
			w->index[w->nindex++] = (uint32_t)(w->base[f->rank] + w->pieces[i].begin + k);
	return TUTTI_OK;
}

/* Finds the cells of one span. */
static tutti_status
list_cells(struct tt_world *w, const struct tt_fiber *f, const struct tt_span *span, bool written,
    struct tt_cells *cells, size_t *len)
{
	const struct tt_geometry *g = &w->geometry[f->rank];
	const char *fault = tt_geometry_fault(g, span, written);
	size_t n = 0;

	*len = 0;
	if (fault) {
		tt_world_fault(w, f->rank, f->pc, "%s", fault);
		return TUTTI_OK;
	}
	const int npieces = tt_geometry_pieces(g, span, f->slice, f->lane, w->pieces);

	for (int i = 0; i < npieces; i++) {
		n += w->pieces[i].len;
		if (span->buffer == TT_TMP && w->pieces[i].len > g->slot)
			tt_world_fault(w, f->rank, f->pc, "a slot is too small for its contents");
	}
	if (!w->report->ok)
		return TUTTI_OK;
	cells->scattered = !is_one_run(w->pieces, npieces);
	cells->at = (uint32_t)(cells->scattered ? w->nindex : n ? w->base[f->rank] + w->pieces[0].begin : 0);
	*len = n;
	return cells->scattered ? list_scattered(w, f, npieces, n) : TUTTI_OK;
}

/* Finds the cells of all operands of the current step; they must be equally many. */
static tutti_status
list_operands(struct tt_world *w, const struct tt_fiber *f, const struct tt_step *step, size_t *len)
{
	const struct tt_plan *plan = w->plans[f->rank];

	*len = 0;
	w->nindex = 0;
	for (int i = 0; i < step->nspans && w->report->ok; i++) {
		size_t n;

		TT_TRY(list_cells(w, f, &plan->spans[step->span + (uint32_t)i], i == 0 && step->kind != TT_SEND,
		    &w->operand[i], &n));
		if (i == 0)
			*len = n;
		else if (n != *len)
			tt_world_fault(w, f->rank, f->pc, "operands of %zu and %zu elements", *len, n);
	}
	return TUTTI_OK;
}

static bool
readable(struct tt_world *w, const struct tt_fiber *f, struct tt_cells cells, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const uint32_t at = cell_at(w, cells, i);

		if (w->marks[at] == TT_WRITING)
			tt_world_fault(w, f->rank, f->pc, "reads what a posted receive is still writing");
		else if (w->cells[at].value == 0)
			tt_world_fault(w, f->rank, f->pc, "reads what was never written");
		else
			continue;
		return false;
	}
	return true;
}

static bool
writable(struct tt_world *w, const struct tt_fiber *f, struct tt_cells cells, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const uint32_t at = cell_at(w, cells, i);

		if (w->marks[at] == TT_WRITING)
			tt_world_fault(w, f->rank, f->pc, "writes what a posted receive is still writing");
		else if (w->marks[at])
			tt_world_fault(w, f->rank, f->pc, "overwrites what is still being read");
		else
			continue;
		return false;
	}
	return true;
}

static void
mark_read(struct tt_world *w, struct tt_cells cells, size_t len, bool begin)
{
	for (size_t i = 0; i < len; i++) {
		uint16_t *mark = &w->marks[cell_at(w, cells, i)];

		*mark = (uint16_t)(*mark + (begin ? 1 : -1));
	}
}

static void
mark_written(struct tt_world *w, struct tt_cells cells, size_t len, bool begin)
{
	for (size_t i = 0; i < len; i++)
		w->marks[cell_at(w, cells, i)] = begin ? TT_WRITING : 0;
}

static bool
same_cells(const struct tt_world *w, struct tt_cells a, struct tt_cells b, size_t len)
{
	if (!a.scattered && !b.scattered)
		return a.at == b.at || len == 0;
	for (size_t i = 0; i < len; i++)
		if (cell_at(w, a, i) != cell_at(w, b, i))
			return false;
	return true;
}

/* ---- values -------------------------------------------------------------------------------------------------- */

/* cells[dst] = the combination of w->added, unless their origins differ. */
static tutti_status
combine_cell(struct tt_world *w, const struct tt_fiber *f, int n, const struct tt_step *step, uint32_t *result)
{
	const char *fault;

	TT_TRY(tt_values_combine(
	    &w->values, w->added, n, step->flags & TT_FINAL ? TT_COMBINE_ADD_FINAL : TT_COMBINE_ADD, result, &fault));
	if (fault)
		tt_world_fault(w, f->rank, (uint32_t)(step - w->plans[f->rank]->steps), "%s", fault);
	return TUTTI_OK;
}

/* Runs of elements mostly have the same operands: then the last result serves again. */
static tutti_status
reduce_cells(struct tt_world *w, const struct tt_fiber *f, const struct tt_step *step, size_t len)
{
	const int n = step->nspans - 1;
	uint32_t result = 0;

	for (size_t i = 0; i < len && w->report->ok; i++) {
		const uint32_t origin = w->cells[cell_at(w, w->operand[1], i)].origin;
		bool same = i > 0;

		for (int s = 0; s < n; s++) {
			const struct tt_cell *cell = &w->cells[cell_at(w, w->operand[s + 1], i)];

			if (cell->origin != origin)
				tt_world_fault(w, f->rank, f->pc, "adds elements that do not belong together");
			same = same && w->added[s] == cell->value;
			w->added[s] = cell->value;
		}
		if (!w->report->ok)
			break;
		if (!same)
			TT_TRY(combine_cell(w, f, n, step, &result));
		w->cells[cell_at(w, w->operand[0], i)] = (struct tt_cell){origin, result};
	}
	return TUTTI_OK;
}

/* COPY and REDUCE: they happen where they stand. */
static tutti_status
run_local(struct tt_world *w, const struct tt_fiber *f, const struct tt_step *step)
{
	size_t len;
	bool fine = true;

	if (!tt_collective_reduces(w->plans[f->rank]->shape.collective) && step->kind == TT_REDUCE_STEP)
		tt_world_fault(w, f->rank, f->pc, "a reduction in a collective that does not reduce");
	if (step->nspans < 2)
		tt_world_fault(w, f->rank, f->pc, "a step without a source");
	TT_TRY(list_operands(w, f, step, &len));
	if (!w->report->ok)
		return TUTTI_OK;
	for (int s = 1; s < step->nspans && fine; s++)
		fine = readable(w, f, w->operand[s], len);
	if (!fine)
		return TUTTI_OK;
	for (int s = 1; s < step->nspans; s++)
		if (!same_cells(w, w->operand[0], w->operand[s], len))
			mark_read(w, w->operand[s], len, true);
	fine = writable(w, f, w->operand[0], len);
	for (int s = 1; s < step->nspans; s++)
		if (!same_cells(w, w->operand[0], w->operand[s], len))
			mark_read(w, w->operand[s], len, false);
	if (!fine)
		return TUTTI_OK;
	if (step->kind == TT_REDUCE_STEP)
		return reduce_cells(w, f, step, len);
	for (size_t i = 0; i < len; i++)
		w->cells[cell_at(w, w->operand[0], i)] = w->cells[cell_at(w, w->operand[1], i)];
	return TUTTI_OK;
}

/* ---- transfers ----------------------------------------------------------------------------------------------- */

static unsigned
size_class(size_t len)
{
	unsigned class = 0;

	while (((size_t)1 << class) < len)
		class ++;
	return class;
}

/* A message with room for len elements: one that was taken out, or a new one. */
static tutti_status
new_message(struct tt_world *w, size_t len, uint32_t *message)
{
	const unsigned class = size_class(len);
	const size_t capacity = (size_t)1 << class;
	size_t room = w->messages_room;

	*message = w->free_messages[class];
	if (*message) {
		w->free_messages[class] = w->messages[*message].next;
		return TUTTI_OK;
	}
	TT_TRY(tt_world_grow(
	    (void **)&w->messages, w->nmessages, &room, w->nmessages + FIRST_MESSAGES, sizeof(*w->messages)));
	w->messages_room = (uint32_t)room;
	TT_TRY(tt_world_grow(
	    (void **)&w->payload, w->npayload, &w->payload_room, w->npayload + capacity, sizeof(*w->payload)));
	if (w->nmessages == 0)
		w->nmessages = 1; /* number 0 means none */
	w->messages[w->nmessages].payload = w->npayload;
	w->npayload += capacity;
	*message = w->nmessages++;
	return TUTTI_OK;
}

static tutti_status
put_message(struct tt_world *w, const struct tt_fiber *f, struct tt_channel *channel, size_t len)
{
	uint32_t message;

	TT_TRY(new_message(w, len, &message));
	struct tt_message *m = &w->messages[message];

	m->len = len;
	m->heard = f->heard;
	m->next = 0;
	for (size_t i = 0; i < len; i++)
		w->payload[m->payload + i] = w->cells[cell_at(w, w->operand[0], i)];
	if (channel->last)
		w->messages[channel->last].next = message;
	else
		channel->first = message;
	channel->last = message;
	return TUTTI_OK;
}

static void
take_out(struct tt_world *w, struct tt_channel *channel)
{
	const uint32_t message = channel->first;
	struct tt_message *m = &w->messages[message];
	const unsigned class = size_class(m->len);

	channel->first = m->next;
	if (channel->first == 0)
		channel->last = 0;
	m->next = w->free_messages[class];
	w->free_messages[class] = message;
}

static bool
is_token(const struct tt_world *w, const struct tt_fiber *f, const struct tt_step *step)
{
	return w->plans[f->rank]->spans[step->span].buffer == TT_TOKEN;
}

/* What a transfer of the operands is remembered by. */
static struct tt_posted
remember(const struct tt_world *w, const struct tt_fiber *f, int nspans, size_t len, uint32_t channel, uint32_t index)
{
	struct tt_posted posted = {.step = f->pc,
	    .channel = channel,
	    .index = index,
	    .len = (uint32_t)len,
	    .known = len == 0 || !w->operand[0].scattered};

	posted.cells[0] = w->operand[0];
	if (nspans > 1) {
		posted.cells[1] = w->operand[1];
		posted.known = posted.known && !w->operand[1].scattered;
	}
	return posted;
}

static tutti_status
post_send(struct tt_world *w, struct tt_fiber *f, const struct tt_step *step, size_t len, uint32_t channel)
{
	struct tt_channel *c = &w->channels[channel];

	if (!readable(w, f, w->operand[0], len))
		return TUTTI_OK;
	mark_read(w, w->operand[0], len, true);
	TT_TRY(put_message(w, f, c, len));
	f->posted[f->nposted++] = remember(w, f, step->nspans, len, channel, c->sends++);
	make_ready(w, &c->receiver_waits);
	return TUTTI_OK;
}

static void
post_recv(struct tt_world *w, struct tt_fiber *f, const struct tt_step *step, size_t len, uint32_t channel)
{
	struct tt_channel *c = &w->channels[channel];
	const bool reduces = step->kind == TT_RECV_REDUCE;

	if (reduces && !readable(w, f, w->operand[1], len))
		return;
	if (reduces && !same_cells(w, w->operand[0], w->operand[1], len))
		mark_read(w, w->operand[1], len, true);
	if (!writable(w, f, w->operand[0], len))
		return;
	mark_written(w, w->operand[0], len, true);
	f->posted[f->nposted++] = remember(w, f, step->nspans, len, channel, c->recvs++);
	make_ready(w, &c->sender_waits);
}

static tutti_status
run_post(struct tt_world *w, struct tt_fiber *f, const struct tt_step *step)
{
	const bool token = is_token(w, f, step), sends = step->kind == TT_SEND;
	uint32_t channel;
	size_t len = 0;

	if (step->peer < 0 || step->peer >= w->nranks || step->peer == f->rank)
		tt_world_fault(w, f->rank, f->pc, "the peer is not another rank");
	if (step->kind == TT_RECV_REDUCE && !tt_collective_reduces(w->plans[f->rank]->shape.collective))
		tt_world_fault(w, f->rank, f->pc, "a reduction in a collective that does not reduce");
	if (step->nspans != (step->kind == TT_RECV_REDUCE ? 2 : 1))
		tt_world_fault(w, f->rank, f->pc, "a transfer with a wrong number of spans");
	if (!w->report->ok)
		return TUTTI_OK;
	if (!token)
		TT_TRY(list_operands(w, f, step, &len));
	if (!w->report->ok || (len == 0 && !token))
		return TUTTI_OK;
	TT_TRY(channel_of(w, sends ? f->rank : step->peer, sends ? step->peer : f->rank, f->lane, &channel));
	if (sends)
		return post_send(w, f, step, len, channel);
	post_recv(w, f, step, len, channel);
	return TUTTI_OK;
}

/* Has it ended? If not, this lane is told when it may have. */
static bool
has_ended(struct tt_world *w, uint32_t fiber, const struct tt_posted *posted)
{
	struct tt_channel *c = &w->channels[posted->channel];
	const struct tt_fiber *f = fiber_of(w, fiber);
	const bool sends = w->plans[f->rank]->steps[posted->step].kind == TT_SEND;

	if (sends ? c->recvs + (uint32_t)w->options->slots > posted->index : c->sends > posted->index)
		return true;
	*(sends ? &c->sender_waits : &c->receiver_waits) = fiber + 1;
	return false;
}

static tutti_status
add_message(struct tt_world *w, const struct tt_fiber *f, const struct tt_step *step, const struct tt_message *m)
{
	const bool first = (step->flags & TT_MESSAGE_FIRST) != 0;
	uint32_t result = 0;

	for (size_t i = 0; i < m->len && w->report->ok; i++) {
		const struct tt_cell own = w->cells[cell_at(w, w->operand[1], i)], came = w->payload[m->payload + i];
		const uint32_t a = first ? came.value : own.value, b = first ? own.value : came.value;

		if (own.origin != came.origin) {
			tt_world_fault(w, f->rank, (uint32_t)(step - w->plans[f->rank]->steps),
			    "adds elements that do not belong together");
			break;
		}
		if (i == 0 || a != w->added[0] || b != w->added[1]) {
			w->added[0] = a;
			w->added[1] = b;
			TT_TRY(combine_cell(w, f, 2, step, &result));
		}
		w->cells[cell_at(w, w->operand[0], i)] = (struct tt_cell){own.origin, result};
	}
	return TUTTI_OK;
}

static tutti_status
hear(struct tt_world *w, struct tt_fiber *f, uint32_t news)
{
	const uint32_t both[2] = {f->heard, news};
	const char *fault;

	return tt_values_combine(&w->values, both, 2, TT_COMBINE_UNION, &f->heard, &fault);
}

static bool
is_as_long(struct tt_world *w, const struct tt_fiber *f, const struct tt_posted *posted, size_t len, size_t came)
{
	if (came != len)
		tt_world_fault(w, f->rank, posted->step, "receives %zu elements where rank %d sends %zu", len,
		    w->channels[posted->channel].src, came);
	return came == len;
}

/* The operands of a posted transfer again. */
static tutti_status
recall(struct tt_world *w, const struct tt_fiber *f, const struct tt_step *step, const struct tt_posted *posted)
{
	size_t len;

	if (!posted->known)
		return list_operands(w, f, step, &len);
	w->operand[0] = posted->cells[0];
	if (step->nspans > 1)
		w->operand[1] = posted->cells[1];
	return TUTTI_OK;
}

/* A posted transfer has ended: its memory is free again, and a message is where it belongs. */
static tutti_status
end_posted(struct tt_world *w, struct tt_fiber *f, const struct tt_posted *posted)
{
	const struct tt_step *step = &w->plans[f->rank]->steps[posted->step];
	struct tt_channel *c = &w->channels[posted->channel];
	const size_t len = posted->len;

	TT_TRY(recall(w, f, step, posted));
	if (step->kind == TT_SEND) {
		mark_read(w, w->operand[0], len, false);
		return TUTTI_OK;
	}
	const struct tt_message *m = &w->messages[c->first];

	if (!is_as_long(w, f, posted, len, m->len))
		return TUTTI_OK;
	mark_written(w, w->operand[0], len, false);
	if (step->kind == TT_RECV_REDUCE) {
		if (!same_cells(w, w->operand[0], w->operand[1], len))
			mark_read(w, w->operand[1], len, false);
		TT_TRY(add_message(w, f, step, m));
	} else {
		for (size_t i = 0; i < len; i++)
			w->cells[cell_at(w, w->operand[0], i)] = w->payload[m->payload + i];
	}
	if (w->barrier)
		TT_TRY(hear(w, f, m->heard));
	take_out(w, c);
	return TUTTI_OK;
}

/* *over: everything posted has ended. */
static tutti_status
run_wait(struct tt_world *w, uint32_t fiber, bool *over)
{
	struct tt_fiber *f = fiber_of(w, fiber);

	*over = false;
	for (; f->waited < f->nposted; f->waited++)
		if (!has_ended(w, fiber, &f->posted[f->waited]))
			return TUTTI_OK;
	for (uint32_t i = 0; i < f->nposted && w->report->ok; i++)
		TT_TRY(end_posted(w, f, &f->posted[i]));
	f->nposted = f->waited = 0;
	*over = true;
	return TUTTI_OK;
}

/* ---- lanes --------------------------------------------------------------------------------------------------- */

static void
forget_slots(struct tt_world *w, const struct tt_fiber *f)
{
	const struct tt_geometry *g = &w->geometry[f->rank];
	struct tt_cell *cells = w->cells + w->base[f->rank] + g->tmp + (size_t)f->lane * g->lane;

	memset(cells, 0, g->lane * sizeof(*cells));
}

/* The plan has run for one slice: take the next one, or leave the round. */
static void
end_slice(struct tt_world *w, struct tt_fiber *f)
{
	if (f->nposted)
		tt_world_fault(w, f->rank, f->posted[0].step, "the plan ends while a transfer is under way");
	if (w->barrier && w->values.value[f->heard].ranks != w->nranks)
		tt_world_fault(w, f->rank, f->pc, "the barrier ends before every rank is known to have entered");
	f->slice += w->window;
	f->pc = 0;
	if (f->slice < w->slices || !w->report->ok)
		return;
	f->done = true;
	if (--w->lanes_left[f->rank])
		return;
	tt_world_judge(w, f->rank);
	if (++w->round[f->rank] < w->rounds && w->report->ok)
		tt_world_enter(w, f->rank);
}

static tutti_status
run_fiber(struct tt_world *w, uint32_t fiber)
{
	struct tt_fiber *f = fiber_of(w, fiber);
	const struct tt_plan *plan = w->plans[f->rank];

	f->ready = false;
	while (w->report->ok) {
		if (f->pc == 0)
			forget_slots(w, f);
		if (f->pc == plan->nsteps) {
			end_slice(w, f);
			if (f->done || f->ready)
				break;
			continue;
		}
		const struct tt_step *step = &plan->steps[f->pc];
		bool over = true;

		if (step->kind == TT_WAIT)
			TT_TRY(run_wait(w, fiber, &over));
		else if (step->kind == TT_COPY || step->kind == TT_REDUCE_STEP)
			TT_TRY(run_local(w, f, step));
		else if (step->kind == TT_SEND || step->kind == TT_RECV || step->kind == TT_RECV_REDUCE)
			TT_TRY(run_post(w, f, step));
		else
			tt_world_fault(w, f->rank, f->pc, "a node-stage step that was not expanded");
		if (!over)
			break;
		f->pc++;
	}
	return TUTTI_OK;
}

tutti_status
tt_world_run(struct tt_world *world)
{
	while (world->nready && world->report->ok)
		TT_TRY(run_fiber(world, world->ready[--world->nready]));
	return TUTTI_OK;
}
