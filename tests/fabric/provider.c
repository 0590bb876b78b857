/* SPDX-License-Identifier: Apache-2.0
 *
 * provider.c - a libfabric provider that misbehaves: what the links over it say, and what their end leaves.
 *
 *     provider [PROVIDER]
 *
 * Two ends of the transport fabric in one thread. The calls of one of them into its provider pass through this file,
 * which refuses some, or turns their completions into errors; everything else is the provider's own doing.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fabric/link.h"

#define LARGE ((size_t)1 << 20)
#define SMALL ((size_t)100)
#define REFUSED_MS 300 /* how long a link lives on refusals */
#define LIMIT_MS 120000
#define TEXT "the card is on fire"

struct side {
	tutti_endpoint *endpoint;
	tutti_link *link;
	unsigned char address[TUTTI_ADDRESS_BYTES];
	size_t address_bytes;
};

/* What is wrong with the provider of one side. */
struct fault {
	bool sends, receives, writes; /* are refused, for ever */
	int spoils; /* the kind of operation that ends with an error; -1: none */
	int errors; /* of nobody's operations, in its queue */
	void *spoilt; /* operation whose error is in the queue */
	int reads; /* of its queue when no error was in there */
	struct fi_ops_cq queue, *real_queue;
	struct fi_ops_msg messages, *real_messages;
	struct fi_ops_rma memory, *real_memory;
};

static const char *provider = "net";
static struct side sides[2];
static struct fault fault;
static unsigned char from[LARGE], to[LARGE];

/* ---- the provider ------------------------------------------------------------------------------------------------ */

static ssize_t
queue_read(struct fid_cq *cq, void *entries, size_t count)
{
	struct fi_cq_data_entry *entry = entries;
	const struct tt_fab_op *op;
	ssize_t n;

	if (fault.errors > 0 || fault.spoilt != NULL)
		return -FI_EAVAIL;
	fault.reads++;
	n = fault.real_queue->read(cq, entries, fault.spoils < 0 ? count : 1);
	op = n == 1 ? entry->op_context : NULL;
	if (op == NULL || (entry->flags & FI_REMOTE_CQ_DATA) != 0 || (int)op->kind != fault.spoils)
		return n;
	fault.spoilt = entry->op_context;
	return -FI_EAVAIL;
}

static ssize_t
queue_error(struct fid_cq *cq, struct fi_cq_err_entry *error, uint64_t flags)
{
	(void)cq;
	(void)flags;
	if (fault.errors == 0 && fault.spoilt == NULL)
		return -FI_EAGAIN;
	*error = (struct fi_cq_err_entry){.op_context = fault.spoilt, .err = FI_EIO, .prov_errno = 451};
	if (fault.spoilt == NULL)
		fault.errors--;
	fault.spoilt = NULL;
	return 1;
}

static const char *
queue_text(struct fid_cq *cq, int code, const void *data, char *text, size_t bytes)
{
	(void)cq;
	(void)data;
	(void)text;
	(void)bytes;
	return code == 451 ? TEXT : "?";
}

static ssize_t
message_recv(struct fid_ep *ep, void *buf, size_t len, void *desc, fi_addr_t source, void *context)
{
	return fault.receives ? -FI_EAGAIN : fault.real_messages->recv(ep, buf, len, desc, source, context);
}

static ssize_t
message_send(struct fid_ep *ep, const void *buf, size_t len, void *desc, fi_addr_t target, void *context)
{
	return fault.sends ? -FI_EAGAIN : fault.real_messages->send(ep, buf, len, desc, target, context);
}

static ssize_t
message_inject(struct fid_ep *ep, const void *buf, size_t len, fi_addr_t target)
{
	return fault.sends ? -FI_EAGAIN : fault.real_messages->inject(ep, buf, len, target);
}

static ssize_t
memory_write(struct fid_ep *ep, const struct fi_msg_rma *message, uint64_t flags)
{
	return fault.writes ? -FI_EAGAIN : fault.real_memory->writemsg(ep, message, flags);
}

static void
break_provider(struct tt_fab_device *device)
{
	fault = (struct fault){.spoils = -1};
	fault.real_queue = device->cq->ops;
	fault.queue = *fault.real_queue;
	fault.queue.read = queue_read;
	fault.queue.readerr = queue_error;
	fault.queue.strerror = queue_text;
	device->cq->ops = &fault.queue;
	fault.real_messages = device->ep->msg;
	fault.messages = *fault.real_messages;
	fault.messages.recv = message_recv;
	fault.messages.send = message_send;
	fault.messages.inject = message_inject;
	device->ep->msg = &fault.messages;
	fault.real_memory = device->ep->rma;
	fault.memory = *fault.real_memory;
	fault.memory.writemsg = memory_write;
	device->ep->rma = &fault.memory;
}

/* ---- two sides --------------------------------------------------------------------------------------------------- */

static bool
open_side(int rank)
{
	static const unsigned char key[32] = {1};
	struct side *side = &sides[rank];
	const tutti_environment env = {.size = sizeof(env),
	    .rank = rank,
	    .nranks = 2,
	    .lanes = 2,
	    .local_ranks = &rank,
	    .nlocal = 1,
	    .key = key,
	    .interfaces = "lo",
	    .cores = 1,
	    .connect_timeout_ms = LIMIT_MS,
	    .peer_timeout_ms = LIMIT_MS,
	    .provider = provider};

	side->address_bytes = sizeof(side->address);
	return tt_fab_endpoint_open(&env, &side->endpoint) == TUTTI_OK &&
	       tt_fab_endpoint_address(side->endpoint, side->address, &side->address_bytes) == TUTTI_OK;
}

/* Both sides; the provider of `broken` is. */
static bool
open_sides(int broken)
{
	for (int i = 0; i < 2; i++)
		if (!open_side(i))
			return false;
	for (int i = 0; i < 2; i++)
		if (tt_fab_endpoint_link(sides[i].endpoint, 1 - i, &sides[i].link) != TUTTI_OK ||
		    tt_fab_link_know(sides[i].link, sides[1 - i].address, sides[1 - i].address_bytes) != TUTTI_OK)
			return false;
	break_provider(&sides[broken].endpoint->device);
	return true;
}

static void
close_sides(void)
{
	for (int i = 0; i < 2; i++)
		tt_fab_endpoint_close(sides[i].endpoint);
	memset(sides, 0, sizeof(sides));
}

/* A message from rank 0 to rank 1. */
struct message {
	struct iovec out, in;
	tutti_transfer send, recv;
};

static void
post(struct message *message, size_t bytes)
{
	static const unsigned char mark[TUTTI_MARK_BYTES] = {7};

	*message = (struct message){.out = {from, bytes}, .in = {to, bytes}};
	message->send =
	    (tutti_transfer){.parts = &message->out, .nparts = 1, .bytes = bytes, .mark = mark, .grain = 1};
	message->recv =
	    (tutti_transfer){.parts = &message->in, .nparts = 1, .bytes = bytes, .mark = mark, .grain = 1};
	(void)tt_fab_link_recv(sides[1].link, &message->recv);
	(void)tt_fab_link_send(sides[0].link, &message->send);
}

/* Until the transfer has ended. */
static bool
drive(const tutti_transfer *transfer)
{
	const int64_t deadline_ns = tt_now_ns() + LIMIT_MS * TT_MS;

	while (transfer->status == TUTTI_IN_PROGRESS) {
		for (int i = 0; i < 2; i++)
			(void)tt_fab_endpoint_progress(sides[i].endpoint);
		if (tt_now_ns() >= deadline_ns)
			return false;
	}
	return true;
}

static bool
arrives(size_t bytes)
{
	static struct message message; /* until the ends are closed */

	memset(from, 3, bytes);
	memset(to, 0, bytes);
	post(&message, bytes);
	return drive(&message.send) && drive(&message.recv) && message.send.status == TUTTI_OK &&
	       message.recv.status == TUTTI_OK && memcmp(from, to, bytes) == 0;
}

/* The sender's link is dead, and its sentence names the peer, the provider with its version, and says `what`. */
static bool
says(const char *what)
{
	char text[512];
	const tutti_status status = tt_fab_link_error(sides[0].link, text, sizeof(text));

	printf("# %s\n", text);
	return status == TUTTI_ERR_PEER && strstr(text, "rank 1") != NULL &&
	       strstr(text, sides[0].endpoint->device.provider) != NULL && strstr(text, what) != NULL;
}

/* ---- promises ---------------------------------------------------------------------------------------------------- */

static bool
ends(size_t bytes, const char *what)
{
	static struct message message; /* until the ends are closed */

	post(&message, bytes);
	/* Coming together may take long on a busy machine, and a provider that does so refuses for a while, too. */
	if (fault.sends || fault.receives || fault.writes)
		sides[0].endpoint->connect_timeout_ms = REFUSED_MS;
	return drive(&message.send) && says(what) && message.send.status == TUTTI_ERR_PEER;
}

static bool
refused_messages_end_the_link(void)
{
	fault.sends = true;
	return ends(SMALL, "has taken nothing for it for");
}

static bool
refused_messages_end_a_link_that_was_in_use(void)
{
	if (!arrives(SMALL))
		return false;
	fault.sends = true;
	return ends(SMALL, "has taken nothing for it for");
}

static bool
refused_receives_end_the_link(void)
{
	fault.receives = true;
	return ends(SMALL, "has taken no receives for it for");
}

static bool
refused_writes_end_the_link(void)
{
	fault.writes = true;
	return ends(LARGE, "has taken nothing for it for");
}

static bool
a_failed_send_is_named(void)
{
	fault.spoils = TT_FAB_OP_SEND;
	return ends(SMALL, "failed to send: "
			   "Input/output error (" TEXT ")");
}

static bool
a_failed_write_is_named(void)
{
	fault.spoils = TT_FAB_OP_WRITE;
	return ends(LARGE, "failed to write: Input/output error (" TEXT ")");
}

static bool
errors_of_nothing_known_do_no_harm(void)
{
	fault.errors = 40;
	return arrives(SMALL) && arrives(LARGE) && fault.errors == 0;
}

/* The provider looks for calls when its queue is empty. */
static bool
at_the_end_errors_do_not_hide_a_call(void)
{
	int reads;

	if (!arrives(SMALL))
		return false;
	fault.errors = 40;
	reads = fault.reads;
	tt_fab_endpoint_cancel(sides[1].endpoint);
	return fault.errors == 0 && fault.reads > reads;
}

static int
descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int n = 0;

	while (folder != NULL && readdir(folder) != NULL)
		n++;
	if (folder != NULL)
		closedir(folder);
	return n;
}

/* The first endpoint of a process: what libfabric opens once, and keeps. Is there such a provider? */
static bool
warm_up(bool *works)
{
	const bool is_here = open_side(0);

	tt_fab_endpoint_close(sides[0].endpoint);
	memset(sides, 0, sizeof(sides));
	*works = is_here && open_sides(0) && arrives(SMALL);
	if (is_here)
		close_sides();
	return is_here;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		bool (*holds)(void);
		int broken;
	} promises[] = {
	    {"refused messages end the link", refused_messages_end_the_link, 0},
	    {"refused messages end a link that was in use", refused_messages_end_a_link_that_was_in_use, 0},
	    {"refused receives end the link", refused_receives_end_the_link, 0},
	    {"refused writes end the link", refused_writes_end_the_link, 0},
	    {"a failed send is named", a_failed_send_is_named, 0},
	    {"a failed write is named", a_failed_write_is_named, 0},
	    {"errors of nothing known do no harm", errors_of_nothing_known_do_no_harm, 0},
	    {"at the end, errors do not hide a call", at_the_end_errors_do_not_hide_a_call, 1},
	};
	int failed = 0, before;
	bool works;

	provider = argc > 1 ? argv[1] : provider;
	if (!warm_up(&works)) {
		printf("1..0 # SKIP libfabric has no provider %s here\n", provider);
		return 0;
	}
	if (!works) {
		printf("1..1\nnot ok 1 - a message over the provider %s\n", provider);
		return 1;
	}
	before = descriptors();
	printf("1..%zu\n", 2 * TT_COUNT_OF(promises));
	for (size_t i = 0; i < TT_COUNT_OF(promises); i++) {
		const bool good = open_sides(promises[i].broken) && promises[i].holds();

		close_sides();
		failed += !good;
		printf("%s %zu - %s\n", good ? "ok" : "not ok", 2 * i + 1, promises[i].name);
		failed += descriptors() != before;
		printf("%s %zu - no descriptor is left\n", descriptors() == before ? "ok" : "not ok", 2 * i + 2);
		fflush(stdout);
	}
	return failed == 0 ? 0 : 1;
}
