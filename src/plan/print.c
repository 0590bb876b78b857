/* SPDX-License-Identifier: Apache-2.0
 *
 * print.c - a plan for people, one line per step.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/port.h"
#include "plan/plan.h"

static const char *const kind_names[TT_STEP_KINDS] = {
    [TT_COPY] = "copy",
    [TT_REDUCE_STEP] = "reduce",
    [TT_SEND] = "send",
    [TT_RECV] = "recv",
    [TT_RECV_REDUCE] = "recv_reduce",
    [TT_WAIT] = "wait",
    [TT_NODE_ALL_REDUCE] = "node_all_reduce",
    [TT_NODE_REDUCE_SCATTER] = "node_reduce_scatter",
    [TT_NODE_ALL_GATHER] = "node_all_gather",
    [TT_NODE_ALL_TO_ALL] = "node_all_to_all",
    [TT_NODE_BROADCAST] = "node_broadcast",
    [TT_NODE_REDUCE] = "node_reduce",
    [TT_NODE_GATHER] = "node_gather",
    [TT_NODE_SCATTER] = "node_scatter",
    [TT_NODE_BARRIER] = "node_barrier",
};

struct page {
	char *text;
	size_t capacity, length;
};

static void TT_PRINTF(2, 3) put(struct page *page, const char *format, ...)
{
	const size_t room = page->length < page->capacity ? page->capacity - page->length : 0;
	va_list args;

	va_start(args, format);
	const int n = vsnprintf(room ? page->text + page->length : NULL, room, format, args);
	va_end(args);
	if (n > 0)
		page->length += (size_t)n;
}

static void
put_span(struct page *page, const struct tt_span *s)
{
	static const char *const names[] = {"in", "out", "tmp", "token"};

	put(page, " %s", names[s->buffer]);
	if (s->buffer == TT_TOKEN)
		return;
	if (s->rows == 1)
		put(page, "[%d]", s->row);
	else
		put(page, "[%d..%d]", s->row, s->row + s->rows - 1);
	if (s->of > 1)
		put(page, " %d+%d/%d", s->part, s->parts, s->of);
	if (s->buffer == TT_TMP)
		put(page, " like %d", s->like);
}

static void
put_step(struct page *page, const struct tt_plan *plan, uint32_t i)
{
	const struct tt_step *step = &plan->steps[i];

	put(page, "%4u %s", i, kind_names[step->kind]);
	if (step->kind == TT_SEND)
		put(page, " to %d", step->peer);
	else if (step->kind >= TT_NODE_BROADCAST && step->kind <= TT_NODE_SCATTER)
		put(page, " root %d", step->peer);
	else if (step->kind == TT_RECV || step->kind == TT_RECV_REDUCE)
		put(page, " from %d", step->peer);
	for (int s = 0; s < step->nspans; s++) {
		put_span(page, &plan->spans[step->span + (uint32_t)s]);
		if (s + 1 < step->nspans)
			put(page, s == 0 ? " =" : ",");
	}
	if (step->kind == TT_RECV_REDUCE)
		put(page, step->flags & TT_MESSAGE_FIRST ? ", after the message" : ", message");
	put(page, "%s\n", step->flags & TT_FINAL ? " final" : "");
}

size_t
tt_plan_print(const struct tt_plan *plan, char *text, size_t capacity)
{
	struct page page = {.text = text, .capacity = capacity};

	if (capacity)
		text[0] = '\0';
	put(&page, "%s %s rank %d of %d", tt_collective_name(plan->shape.collective), plan->algorithm,
	    plan->shape.rank, plan->shape.nranks);
	if (tt_collective_has_root(plan->shape.collective))
		put(&page, " root %d", plan->shape.root);
	put(&page, "%s", plan->shape.in_place ? " in place" : "");
	if (plan->tmp_slots)
		put(&page, ", %d slots of %d/%d", plan->tmp_slots, plan->tmp_parts, plan->tmp_of);
	put(&page, "\n");
	for (uint32_t i = 0; i < plan->nsteps; i++)
		put_step(&page, plan, i);
	return page.length;
}
