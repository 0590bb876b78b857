/* SPDX-License-Identifier: Apache-2.0
 *
 * run_output.h - many ranks' output as one stream of whole lines.
 *
 * Each rank's bytes are collected up to a line's end and then go to the stream at once, so a line never holds bytes
 * of two ranks. Lines longer than TT_OUTPUT_LINE go out in parts; if another rank's line comes between, the part
 * before it is ended by a newline. Any bytes are fine, zeros too. Writing never blocks more than poll(2) promises.
 */
#ifndef TT_CLI_RUN_OUTPUT_H
#define TT_CLI_RUN_OUTPUT_H

#include "base/port.h"

#define TT_OUTPUT_LINE 65536 /* most bytes of an unfinished line that are held back */
#define TT_OUTPUT_READ 16384 /* most bytes given to tt_line_feed at once */
#define TT_OUTPUT_NEEDS 524288 /* room that a call of tt_line_feed or tt_line_end may need */

/* Bytes on their way to one descriptor. Zeros, but for fd, are an empty queue. */
struct tt_output {
	int fd;
	char *queue; /* owned */
	size_t capacity, used, sent;
	int mid_line; /* 1 + the rank whose unfinished line was written last, 0 = at the start of a line */
	bool broken; /* nobody reads: what comes is dropped */
};

/* The unfinished line of one rank. Zeros are an empty line. */
struct tt_line {
	char *held; /* owned */
	size_t used, capacity;
};

void tt_output_init(struct tt_output *output, int fd);
void tt_output_fini(struct tt_output *output);
/* A line of the launcher itself. */
void tt_output_line(struct tt_output *output, const char *format, ...) TT_PRINTF(2, 3);
/* Is there room for what one feed may need? */
bool tt_output_has_room(const struct tt_output *output);
bool tt_output_is_empty(const struct tt_output *output);
/* Writes a little; to be called when poll(2) says that it can. */
void tt_output_write(struct tt_output *output);

/* prefix: begin each line with "[rank] ". */
void tt_line_feed(struct tt_line *line, struct tt_output *output, int rank, bool prefix, const char *bytes, size_t n);
/* The rank closed its end: what is held goes out. */
void tt_line_end(struct tt_line *line, struct tt_output *output, int rank, bool prefix);
void tt_line_fini(struct tt_line *line);

#endif /* TT_CLI_RUN_OUTPUT_H */
