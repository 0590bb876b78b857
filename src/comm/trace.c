/* SPDX-License-Identifier: Apache-2.0
 *
 * trace.c - see trace.h. The format is the JSON array of Chrome's trace event format, which may stay open at its end:
 * so whole lines can be appended by many processes, and a killed one leaves a file that can be read.
 */
#include "comm/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include <tutti/tutti.h>

#define BUFFER ((size_t)32 << 10)
#define LINE ((size_t)1 << 10)
#define FLUSH_NS (1000 * TT_MS) /* a line is in the file at the latest with the first one that comes so much later */

struct tt_trace {
	int fd;
	struct tt_log log;
	uint64_t process; /* in the picture; different on every host */
	uint32_t row;
	int64_t epoch_ns; /* what the monotonic clock's zero is in the time of day, which hosts share */
	int64_t flushed_ns;
	size_t used;
	char buffer[BUFFER];
};

/* ---- the file ---------------------------------------------------------------------------------------------------- */

void
tt_trace_flush(struct tt_trace *trace)
{
	size_t at = 0;

	if (trace == NULL)
		return;
	while (at < trace->used && trace->fd >= 0) {
		const ssize_t n = write(trace->fd, trace->buffer + at, trace->used - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			tt_log(&trace->log, TT_LOG_WARN, "TUTTI_TRACE: cannot write: %s; the trace ends here",
			    strerror(errno));
			tt_fd_close(trace->fd);
			trace->fd = -1;
			break;
		}
		at += (size_t)n;
	}
	trace->used = 0;
	trace->flushed_ns = tt_now_ns();
}

/* The first one begins the array. */
static void
begin_file(int fd)
{
	struct stat file;

	/* Where files cannot be locked, several may begin it: the readers take that, too. */
	while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
		continue;
	if (fstat(fd, &file) == 0 && file.st_size == 0 && write(fd, "[\n", 2) != 2)
		(void)ftruncate(fd, 0);
	flock(fd, LOCK_UN);
}

/* FNV-1a. */
static uint64_t
hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h;
}

tutti_status
tt_trace_open(const char *path, const struct tt_log *log, struct tt_trace **trace)
{
	struct timespec day;
	struct tt_trace *made;
	void *memory;
	int fd;

	*trace = NULL;
	if (path == NULL)
		return TUTTI_OK;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return tt_fail_errno("TUTTI_TRACE: cannot open '%.128s'", path);
	tt_fd_guard(fd);
	if (tt_alloc(1, sizeof(*made), "a trace", &memory) != TUTTI_OK) {
		tt_fd_close(fd);
		return TUTTI_ERR_NOMEM;
	}
	begin_file(fd);
	made = memory;
	made->fd = fd;
	made->log = *log;
	clock_gettime(CLOCK_REALTIME, &day);
	made->flushed_ns = tt_now_ns();
	made->epoch_ns = (int64_t)day.tv_sec * 1000000000 + day.tv_nsec - made->flushed_ns;
	*trace = made;
	return TUTTI_OK;
}

void
tt_trace_close(struct tt_trace *trace)
{
	if (trace == NULL)
		return;
	tt_trace_flush(trace);
	tt_fd_close(trace->fd);
	tt_free(trace);
}

/* ---- the lines --------------------------------------------------------------------------------------------------- */

/* Room for a line. */
static char *
line(struct tt_trace *trace)
{
	if (trace->used + LINE > BUFFER)
		tt_trace_flush(trace);
	return trace->buffer + trace->used;
}

/* Only whole lines get into the file. */
static void
add(struct tt_trace *trace, int length)
{
	if (length > 0 && (size_t)length < LINE)
		trace->used += (size_t)length;
}

/* As the inside of a JSON string; what does not fit is cut. */
static void
quote(const char *text, char *to, size_t room)
{
	size_t used = 0;

	for (; *text != '\0' && used + 7 < room; text++) {
		const unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			to[used++] = '\\';
		if (c < 0x20)
			used += (size_t)snprintf(to + used, room - used, "\\u%04x", c);
		else
			to[used++] = (char)c;
	}
	to[used] = '\0';
}

void
tt_trace_introduce(struct tt_trace *trace, const char *name, int rank, int size, uint32_t id)
{
	char host[65] = "", quoted[256];

	if (trace == NULL)
		return;
	gethostname(host, sizeof(host) - 1);
	trace->process = (hash(host) & 0xfffff) << 22 | ((uint64_t)getpid() & 0x3fffff);
	trace->row = id & 0x7fffffff;
	quote(host, quoted, sizeof(quoted));
	add(trace,
	    snprintf(line(trace), LINE,
		"{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%" PRIu64 ",\"args\":{\"name\":\"%s %ld\"}},\n",
		trace->process, quoted, (long)getpid()));
	quote(name != NULL ? name : "", quoted, sizeof(quoted));
	add(trace, snprintf(line(trace), LINE,
		       "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%" PRIu64 ",\"tid\":%" PRIu32
		       ",\"args\":{\"name\":\"%s%srank %d of %d\"}},\n",
		       trace->process, trace->row, quoted, quoted[0] != '\0' ? ": " : "", rank, size));
}

static double
us(int64_t ns)
{
	return (double)ns / 1000;
}

void
tt_trace_operation(struct tt_trace *trace, const char *what, const struct tt_call *call, uint64_t bytes,
    int64_t issue_ns, int64_t start_ns, tutti_status status)
{
	const int64_t now_ns = tt_now_ns(), from_ns = start_ns != 0 ? start_ns : now_ns;
	char quoted[256];

	quote(what, quoted, sizeof(quoted));
	add(trace, snprintf(line(trace), LINE,
		       "{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%" PRIu64 ",\"tid\":%" PRIu32
		       ",\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"operation\":%" PRIu64 ",\"bytes\":%" PRIu64
		       ",\"waited_us\":%.3f,\"status\":\"%s\"}},\n",
		       quoted, call->sequence > 0 ? "collective" : "message", trace->process, trace->row,
		       us(trace->epoch_ns + from_ns), us(now_ns - from_ns), call->sequence, bytes,
		       us(from_ns - issue_ns), tutti_status_string(status)));
	if (now_ns - trace->flushed_ns > FLUSH_NS)
		tt_trace_flush(trace);
}
