/* SPDX-License-Identifier: Apache-2.0
 *
 * fabric_floor.c - what the transport fabric costs over a bare libfabric program that sends the same messages.
 *
 *     fabric_floor PLUGIN [PROVIDER] [ROUNDS] [KNOWN]
 *
 * Two threads, each with an endpoint of its own: one ping-pong through the transport, one by hand, in turn, so that
 * whatever else happens on the machine happens to both. By hand: up to 4 KiB by fi_send into a posted receive; large
 * messages by writes of 256 KiB, with remote completion data, once the receiver has told where, in a message. With
 * KNOWN as the last argument it was told before: what could be saved if buffers never changed. Completion queues have
 * a descriptor, as whoever wants to sleep needs one; with some providers that is what costs most.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_rma.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tutti/transport.h>

#define MOST ((size_t)4 << 20)
#define SEGMENT ((size_t)256 << 10)
#define MOST_ROUNDS 4096
#define SMALL 4096

/* Where a large message goes. */
struct target {
	uint64_t address, key;
};

struct bare {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_av *av;
	struct fid_cq *cq;
	struct fid_ep *ep;
	struct fid_mr *mr;
	fi_addr_t peer;
	unsigned char name[256];
	size_t name_bytes;
	struct fi_context2 contexts[64];
	struct target mine, told; /* for the peer, and by the peer, in a message of its own */
	int out, received,
	    written; /* operations under way; messages and writes that came and were not yet waited for */
};

struct side {
	int rank;
	struct bare bare;
	tutti_endpoint *endpoint;
	tutti_link *link;
	unsigned char address[TUTTI_ADDRESS_BYTES];
	size_t address_bytes;
	unsigned char *memory; /* MOST bytes to send, MOST to receive */
};

static struct side sides[2];
static const tutti_transport *transport;
static const char *provider = "net";
static int rounds = 300;
static bool known; /* targets are */
static atomic_int arrived;
static const size_t sizes[] = {8, 4096, 65536, (size_t)1 << 20, MOST};
static double times[2][MOST_ROUNDS];

static void
check(long code, const char *what)
{
	if (code == 0)
		return;
	fprintf(stderr, "fabric_floor: %s: %s\n", what, fi_strerror((int)(code < 0 ? -code : code)));
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Both are here: neither has slept, so that the next round does not begin with a wake-up. */
static void
meet(void)
{
	const int all = (atomic_fetch_add(&arrived, 1) / 2 + 1) * 2;

	while (atomic_load(&arrived) < all)
		;
}

/* ---- by hand ---- */

static void
bare_open(struct side *side)
{
	struct bare *b = &side->bare;
	struct fi_info *hints = fi_allocinfo(), *list;
	struct fi_av_attr av = {.type = FI_AV_TABLE};
	struct fi_cq_attr cq = {.size = 1024, .format = FI_CQ_FORMAT_DATA, .wait_obj = FI_WAIT_FD};

	hints->ep_attr->type = FI_EP_RDM;
	hints->caps = FI_MSG | FI_RMA;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->domain_attr->threading = FI_THREAD_DOMAIN;
	hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
	hints->domain_attr->mr_mode = FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->fabric_attr->prov_name = strdup(provider);
	check(fi_getinfo(FI_VERSION(1, 17), "127.0.0.1", NULL, FI_SOURCE, hints, &list), "fi_getinfo");
	b->info = list;
	check(fi_fabric(list->fabric_attr, &b->fabric, NULL), "fi_fabric");
	check(fi_domain(b->fabric, list, &b->domain, NULL), "fi_domain");
	check(fi_av_open(b->domain, &av, &b->av, NULL), "fi_av_open");
	check(fi_cq_open(b->domain, &cq, &b->cq, NULL), "fi_cq_open");
	check(fi_endpoint(b->domain, list, &b->ep, NULL), "fi_endpoint");
	check(fi_ep_bind(b->ep, &b->av->fid, 0), "fi_ep_bind");
	check(fi_ep_bind(b->ep, &b->cq->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind");
	check(fi_enable(b->ep), "fi_enable");
	check(fi_mr_reg(b->domain, side->memory, 2 * MOST, FI_REMOTE_WRITE | FI_WRITE | FI_SEND | FI_RECV, 0, 7, 0,
		  &b->mr, NULL),
	    "fi_mr_reg");
	b->name_bytes = sizeof(b->name);
	check(fi_getname(&b->ep->fid, b->name, &b->name_bytes), "fi_getname");
	fi_freeinfo(hints);
}

static void
bare_poll(struct bare *b)
{
	struct fi_cq_data_entry entries[16];
	const ssize_t n = fi_cq_read(b->cq, entries, 16);

	if (n != -FI_EAGAIN)
		check(n < 0 ? n : 0, "fi_cq_read");
	for (ssize_t i = 0; i < n; i++) {
		if ((entries[i].flags & FI_REMOTE_CQ_DATA) != 0)
			b->written++;
		else if ((entries[i].flags & FI_RECV) != 0)
			b->received++;
		else
			b->out--;
	}
}

static struct target
target_of(const struct side *side)
{
	const bool virtual = (side->bare.info->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0;

	return (struct target){(virtual ? (uint64_t)(uintptr_t)side->memory : 0) + MOST, fi_mr_key(side->bare.mr)};
}

static void
bare_send(struct side *side, const void *bytes, size_t n, void *context)
{
	struct bare *b = &side->bare;
	ssize_t code;

	while ((code = fi_send(b->ep, bytes, n, fi_mr_desc(b->mr), b->peer, context)) == -FI_EAGAIN)
		bare_poll(b);
	check(code, "fi_send");
	b->out++;
}

static void
bare_write(struct side *side, size_t bytes)
{
	struct bare *b = &side->bare;

	for (size_t at = 0, i = 3; at < bytes; at += SEGMENT, i++) {
		const size_t n = bytes - at < SEGMENT ? bytes - at : SEGMENT;
		const struct iovec local = {side->memory + at, n};
		const struct fi_rma_iov remote = {b->told.address + at, n, b->told.key};
		void *desc = fi_mr_desc(b->mr);
		const struct fi_msg_rma message = {&local, &desc, 1, b->peer, &remote, 1, &b->contexts[i], 1};
		ssize_t code;

		while ((code = fi_writemsg(
			    b->ep, &message, FI_COMPLETION | FI_DELIVERY_COMPLETE | FI_REMOTE_CQ_DATA)) == -FI_EAGAIN)
			bare_poll(b);
		check(code, "fi_writemsg");
		b->out++;
	}
}

static void
bare_out(struct side *side, size_t bytes)
{
	struct bare *b = &side->bare;

	if (bytes <= SMALL) {
		bare_send(side, side->memory, bytes, &b->contexts[1]);
	} else {
		while (!known && b->received == 0)
			bare_poll(b);
		b->received -= !known;
		bare_write(side, bytes);
	}
	while (b->out > 0)
		bare_poll(b);
}

static void
bare_in(struct side *side, size_t bytes)
{
	struct bare *b = &side->bare;
	int *came = bytes <= SMALL ? &b->received : &b->written;
	const int all = bytes <= SMALL ? 1 : (int)((bytes + SEGMENT - 1) / SEGMENT);

	while (*came < all)
		bare_poll(b);
	*came -= all;
}

static void
bare_round(struct side *side, size_t bytes)
{
	struct bare *b = &side->bare;
	const bool small = bytes <= SMALL;

	if (small || !known)
		while (fi_recv(b->ep, small ? (void *)(side->memory + MOST) : &b->told,
			   small ? bytes : sizeof(b->told), fi_mr_desc(b->mr), FI_ADDR_UNSPEC, &b->contexts[0]) != 0)
			bare_poll(b);
	if (!small && known) {
		b->told = target_of(&sides[1 - side->rank]);
	} else if (!small) {
		b->mine = target_of(side);
		bare_send(side, &b->mine, sizeof(b->mine), &b->contexts[2]);
	}
	if (side->rank == 0)
		bare_out(side, bytes);
	bare_in(side, bytes);
	if (side->rank == 1)
		bare_out(side, bytes);
}

/* ---- through the transport ---- */

static void
until_ended(struct side *side, const tutti_transfer *transfer)
{
	while (transfer->status == TUTTI_IN_PROGRESS)
		transport->progress(side->endpoint);
	check(transfer->status == TUTTI_OK ? 0 : 5, "a transfer");
}

static void
transport_round(struct side *side, size_t bytes)
{
	static const unsigned char mark[TUTTI_MARK_BYTES];
	const struct iovec from = {side->memory, bytes}, to = {side->memory + MOST, bytes};
	tutti_transfer send = {.parts = &from, .nparts = 1, .bytes = bytes, .mark = mark, .grain = 1};
	tutti_transfer recv = {.parts = &to, .nparts = 1, .bytes = bytes, .mark = mark, .grain = 1};

	check(transport->recv(side->link, &recv), "recv");
	if (side->rank == 1)
		until_ended(side, &recv);
	check(transport->send(side->link, &send), "send");
	until_ended(side, &send);
	until_ended(side, &recv);
}

static void
transport_open(struct side *side)
{
	static const unsigned char key[32] = {1};
	const tutti_environment env = {.size = sizeof(env),
	    .rank = side->rank,
	    .nranks = 2,
	    .lanes = 1,
	    .local_ranks = &side->rank,
	    .nlocal = 1,
	    .key = key,
	    .interfaces = "lo",
	    .cores = 2,
	    .connect_timeout_ms = 10000,
	    .peer_timeout_ms = 10000,
	    .provider = provider};

	check(transport->open(&env, &side->endpoint), "open");
	side->address_bytes = sizeof(side->address);
	check(transport->address(side->endpoint, side->address, &side->address_bytes), "address");
}

/* ---- measuring ---- */

static int
by_time(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
measure(struct side *side, size_t bytes)
{
	for (int i = 0; i < rounds; i++) {
		for (int way = 0; way < 2; way++) {
			const double start = now();

			if (way == 0)
				bare_round(side, bytes);
			else
				transport_round(side, bytes);
			if (side->rank == 0)
				times[way][i] = (now() - start) / 2;
			meet();
		}
	}
	if (side->rank == 1)
		return;
	for (int way = 0; way < 2; way++)
		qsort(times[way], (size_t)rounds, sizeof(double), by_time);
	printf("%9zu %12.2f %12.2f %8.2f\n", bytes, times[0][rounds / 2], times[1][rounds / 2],
	    times[1][rounds / 2] / times[0][rounds / 2]);
}

static void *
run(void *argument)
{
	struct side *side = argument, *other = &sides[1 - side->rank];

	meet();
	check(fi_av_insert(side->bare.av, other->bare.name, 1, &side->bare.peer, 0, NULL) == 1 ? 0 : 22,
	    "fi_av_insert");
	check(transport->connect(side->endpoint, 1 - side->rank, other->address, other->address_bytes, &side->link),
	    "connect");
	meet();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(side, sizes[i]);
	return NULL;
}

int
main(int argc, char **argv)
{
	tutti_transport_entry entry;
	void *library, *symbol;
	pthread_t thread;

	if (argc < 2 || argc > 5) {
		fprintf(stderr, "usage: fabric_floor PLUGIN [PROVIDER] [ROUNDS] [KNOWN]\n");
		return 2;
	}
	provider = argc > 2 ? argv[2] : provider;
	rounds = argc > 3 ? atoi(argv[3]) : rounds;
	rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
	known = argc > 4;
	library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	symbol = library != NULL ? dlsym(library, TUTTI_TRANSPORT_ENTRY) : NULL;
	if (symbol == NULL) {
		fprintf(stderr, "fabric_floor: %s\n", dlerror());
		return 1;
	}
	memcpy(&entry, &symbol, sizeof(entry));
	transport = entry();
	for (int i = 0; i < 2; i++) {
		sides[i].rank = i;
		sides[i].memory = calloc(2, MOST);
		bare_open(&sides[i]);
		transport_open(&sides[i]);
	}
	printf("one way, median of %d, microseconds, provider %s\n%9s %12s %12s %8s\n", rounds, provider, "bytes",
	    "libfabric", "transport", "ratio");
	check(pthread_create(&thread, NULL, run, &sides[1]), "pthread_create");
	run(&sides[0]);
	pthread_join(thread, NULL);
	return 0;
}
