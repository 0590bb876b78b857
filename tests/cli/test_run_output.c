/* SPDX-License-Identifier: Apache-2.0
 *
 * test_run_output.c - many ranks' bytes become one stream of whole lines.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run_output.h"

static struct tt_output output;
static struct tt_line lines[3];

static void
begin(void)
{
	tt_output_init(&output, -1);
	memset(lines, 0, sizeof lines);
}

static void
end(void)
{
	for (int i = 0; i < 3; i++)
		tt_line_fini(&lines[i]);
	tt_output_fini(&output);
}

static void
feed(int rank, bool prefix, const char *text)
{
	tt_line_feed(&lines[rank], &output, rank, prefix, text, strlen(text));
}

/* Compares what is queued, all of it. */
static void
expect(const char *wanted)
{
	char *got = calloc(1, output.used + 1);

	memcpy(got, output.queue != NULL ? output.queue : "", output.used);
	cr_assert(eq(str, got, (char *)wanted));
	free(got);
}

TestSuite(run_output, .init = begin, .fini = end, .timeout = 20);

Test(run_output, whole_lines_go_out_prefixed)
{
	feed(0, true, "a\nb\n");
	feed(2, true, "c\n");
	expect("[0] a\n[0] b\n[2] c\n");
}

Test(run_output, unfinished_lines_wait_for_their_end)
{
	feed(0, true, "a");
	feed(1, true, "x");
	expect("");
	feed(1, true, "y\n");
	feed(0, true, "b\n");
	expect("[1] xy\n[0] ab\n");
}

Test(run_output, last_line_without_newline_is_flushed_and_ended)
{
	feed(1, true, "tail");
	tt_line_end(&lines[1], &output, 1, true);
	expect("[1] tail\n");
}

Test(run_output, plain_stream_adds_nothing_to_one_rank)
{
	feed(0, false, "a\nb");
	tt_line_end(&lines[0], &output, 0, false);
	expect("a\nb");
}

Test(run_output, plain_stream_separates_unfinished_lines_of_two_ranks)
{
	feed(0, false, "a");
	tt_line_end(&lines[0], &output, 0, false);
	feed(1, false, "b\n");
	expect("a\nb\n");
}

Test(run_output, zero_bytes_pass)
{
	tt_line_feed(&lines[0], &output, 0, false, "a\0b\n", 4);
	cr_assert(eq(sz, output.used, (size_t)4));
	cr_assert(eq(int, memcmp(output.queue, "a\0b\n", 4), 0));
}

static void
feed_many(int rank, size_t n)
{
	char bytes[TT_OUTPUT_READ];

	memset(bytes, 'z', sizeof bytes);
	for (; n > 0; n -= n < sizeof bytes ? n : sizeof bytes)
		tt_line_feed(&lines[rank], &output, rank, true, bytes, n < sizeof bytes ? n : sizeof bytes);
}

Test(run_output, endless_line_is_held_back_only_so_far)
{
	feed_many(0, 2 * TT_OUTPUT_LINE);
	cr_assert(le(sz, lines[0].capacity, (size_t)2 * TT_OUTPUT_LINE));
	cr_assert(eq(sz, output.used, (size_t)2 * TT_OUTPUT_LINE + 4), "one prefix, no newline inside");
}

Test(run_output, another_rank_never_writes_into_an_endless_line)
{
	feed_many(0, TT_OUTPUT_LINE);
	feed(1, true, "b\n");
	feed(0, true, "end\n");
	cr_assert(eq(int, strncmp(output.queue + 4 + TT_OUTPUT_LINE, "\n[1] b\n[0] end\n", 15), 0));
}

Test(run_output, launchers_line_stands_alone)
{
	feed(0, false, "a");
	tt_line_end(&lines[0], &output, 0, false);
	tt_output_line(&output, "rank %d ended", 3);
	expect("a\nrank 3 ended\n");
}

Test(run_output, one_feed_fits_into_the_promised_room)
{
	char bytes[TT_OUTPUT_READ];
	size_t before;

	feed_many(2, TT_OUTPUT_LINE - 1);
	memset(bytes, '\n', sizeof bytes);
	before = output.used;
	tt_line_feed(&lines[2], &output, 4095, true, bytes, sizeof bytes);
	cr_assert(le(sz, output.used - before, (size_t)TT_OUTPUT_NEEDS));
}

Test(run_output, written_bytes_arrive_in_order)
{
	char got[64] = "";
	int pipe[2];

	cr_assert(eq(int, pipe2(pipe, O_CLOEXEC), 0));
	output.fd = pipe[1];
	feed(0, true, "a\n");
	tt_output_write(&output);
	feed(1, true, "b\n");
	tt_output_write(&output);
	cr_assert(tt_output_is_empty(&output));
	cr_assert(eq(int, (int)read(pipe[0], got, sizeof got - 1), 12));
	cr_assert(eq(str, got, "[0] a\n[1] b\n"));
	close(pipe[0]);
	close(pipe[1]);
}

Test(run_output, reader_that_left_breaks_the_stream)
{
	int pipe[2];

	signal(SIGPIPE, SIG_IGN);
	cr_assert(eq(int, pipe2(pipe, O_CLOEXEC), 0));
	close(pipe[0]);
	output.fd = pipe[1];
	feed(0, true, "a\n");
	tt_output_write(&output);
	cr_assert(output.broken);
	feed(0, true, "b\n");
	cr_assert(tt_output_is_empty(&output), "nothing is queued for nobody");
	close(pipe[1]);
}
