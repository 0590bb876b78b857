/* SPDX-License-Identifier: Apache-2.0
 *
 * tune_measure.c - constants out of collectives of two ranks, each so chosen that one term of its price rules.
 *
 * A measurement is a series of batches; the least of their means counts: what disturbs a batch only adds to it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/remote.h"
#include "cli/tune/tune.h"
#include "topology/host.h"

#define BATCHES 15
#define BATCH_NS INT64_C(30000000) /* about */
#define MOST_ROUNDS 2000
#define SMALL ((size_t)8)
#define CACHED_LOW ((size_t)64 << 10)
#define CACHED_HIGH ((size_t)256 << 10)
#define IN_FLIGHT 16
#define LOOKS 50
#define NS 1e9
#define PS 1e12
#define PS_PER_NS 1e3

#define TRY(call) \
	do { \
		const tutti_status status_ = (call); \
		if (status_ != TUTTI_OK) \
			return status_; \
	} while (0)

struct subject {
	tutti_comm *comm;
	unsigned char *send, *recv; /* CACHED_HIGH bytes each */
	size_t bytes;
	tutti_status (*run)(const struct subject *subject);
};

static tutti_status
run_oneshot(const struct subject *s)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = "oneshot"};

	return tutti_all_reduce(s->comm, s->send, s->recv, s->bytes / 4, TUTTI_FLOAT32, TUTTI_SUM, &options, NULL);
}

static tutti_status
run_direct(const struct subject *s)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = "direct"};

	return tutti_all_reduce(s->comm, s->send, s->recv, s->bytes / 4, TUTTI_FLOAT32, TUTTI_SUM, &options, NULL);
}

/* One there and one back: a root that is the same all the time would be ahead of the others. */
static tutti_status
run_chains(const struct subject *s)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = "chain"};

	TRY(tutti_broadcast(s->comm, s->send, s->recv, s->bytes, TUTTI_UINT8, 0, &options, NULL));
	return tutti_broadcast(s->comm, s->send, s->recv, s->bytes, TUTTI_UINT8, 1, &options, NULL);
}

static tutti_status
run_node(const struct subject *s)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = "node"};

	return tutti_all_reduce(s->comm, s->send, s->recv, s->bytes / 4, TUTTI_FLOAT32, TUTTI_SUM, &options, NULL);
}

/* Of the half that is the other's, by one system call, if ranks can read each other's memory. */
static tutti_status
run_exchange(const struct subject *s)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = "node"};

	return tutti_all_to_all(s->comm, s->send, s->recv, s->bytes / 2, TUTTI_UINT8, &options, NULL);
}

static tutti_status
run_ring(const struct subject *s)
{
	const tutti_options options = {.size = sizeof(options), .algorithm = "ring"};

	return tutti_all_gather(s->comm, s->send, s->recv, s->bytes / 2, TUTTI_UINT8, &options, NULL);
}

/* Rank 0 has IN_FLIGHT messages under way, rank 1 answers the last. */
static tutti_status
run_flight(const struct subject *s)
{
	tutti_request *requests[IN_FLIGHT] = {NULL};
	const int rank = tutti_comm_rank(s->comm);

	for (int i = 0; i < IN_FLIGHT; i++)
		TRY(rank == 0 ? tutti_send(s->comm, s->send, s->bytes, TUTTI_UINT8, 1, i, NULL, &requests[i])
			      : tutti_recv(s->comm, s->recv, s->bytes, TUTTI_UINT8, 0, i, NULL, NULL, &requests[i]));
	TRY(tutti_wait_all(IN_FLIGHT, requests));
	return rank == 0 ? tutti_recv(s->comm, s->recv, s->bytes, TUTTI_UINT8, 1, IN_FLIGHT, NULL, NULL, NULL)
			 : tutti_send(s->comm, s->send, s->bytes, TUTTI_UINT8, 0, IN_FLIGHT, NULL, NULL);
}

/* One message there and one back. */
static tutti_status
run_echo(const struct subject *s)
{
	const int rank = tutti_comm_rank(s->comm);

	if (rank == 1)
		TRY(tutti_recv(s->comm, s->recv, s->bytes, TUTTI_UINT8, 0, 0, NULL, NULL, NULL));
	TRY(tutti_send(s->comm, s->send, s->bytes, TUTTI_UINT8, 1 - rank, 0, NULL, NULL));
	return rank == 0 ? tutti_recv(s->comm, s->recv, s->bytes, TUTTI_UINT8, 1, 0, NULL, NULL, NULL) : TUTTI_OK;
}

/* Rank 0 looks for a message that does not come until it has asked for it. */
static tutti_status
run_looks(const struct subject *s)
{
	const int rank = tutti_comm_rank(s->comm);
	tutti_request *request = NULL;
	int done = 0;

	if (rank == 1) {
		TRY(tutti_recv(s->comm, s->recv, s->bytes, TUTTI_UINT8, 0, 0, NULL, NULL, NULL));
		return tutti_send(s->comm, s->send, s->bytes, TUTTI_UINT8, 0, 1, NULL, NULL);
	}
	TRY(tutti_recv(s->comm, s->recv, s->bytes, TUTTI_UINT8, 1, 1, NULL, NULL, &request));
	for (int i = 0; i < LOOKS && !done; i++)
		TRY(tutti_test(&request, &done));
	TRY(tutti_send(s->comm, s->send, s->bytes, TUTTI_UINT8, 1, 0, NULL, NULL));
	return done ? TUTTI_OK : tutti_wait(&request);
}

static tutti_status
batch(const struct subject *s, int rounds, double *seconds)
{
	int64_t start;

	TRY(tutti_barrier(s->comm, NULL, NULL));
	start = tt_now_ns();
	for (int i = 0; i < rounds; i++)
		TRY(s->run(s));
	*seconds = (double)(tt_now_ns() - start) / NS / rounds;
	return TUTTI_OK;
}

/* Seconds of one run; both ranks get rank 0's. */
static tutti_status
measure(struct subject *s, tutti_status (*run)(const struct subject *), size_t bytes, double *seconds)
{
	double one, best = 0;
	int32_t rounds;

	s->run = run;
	s->bytes = bytes;
	TRY(batch(s, 3, &one));
	TRY(batch(s, 3, &one));
	rounds = one > 0 ? (int32_t)((double)BATCH_NS / NS / one) : MOST_ROUNDS;
	rounds = rounds < 2 ? 2 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
	TRY(tutti_broadcast(s->comm, &rounds, &rounds, 1, TUTTI_INT32, 0, NULL, NULL));
	for (int i = 0; i < BATCHES; i++) {
		TRY(batch(s, rounds, &one));
		best = i == 0 || one < best ? one : best;
	}
	TRY(tutti_broadcast(s->comm, &best, &best, 1, TUTTI_FLOAT64, 0, NULL, NULL));
	*seconds = best;
	return TUTTI_OK;
}

static bool
take(struct subject *s, tutti_comm *comm)
{
	*s = (struct subject){.comm = comm, .send = malloc(CACHED_HIGH), .recv = malloc(CACHED_HIGH)};
	if (s->send == NULL || s->recv == NULL)
		return false;
	memset(s->send, 0, CACHED_HIGH);
	memset(s->recv, 0, CACHED_HIGH);
	return true;
}

static void
drop(struct subject *s)
{
	free(s->send);
	free(s->recv);
}

static void
set(tutti_comm *comm, struct tt_constants *constants, enum tt_constant constant, double value)
{
	if (tutti_comm_rank(comm) == 0)
		tt_constants_set(constants, constant, value, TT_CONSTANT_TUNED);
}

/* The slope between two sizes that a core's cache holds, in ps/B; `share` of the bytes count. */
static tutti_status
slope(struct subject *s, tutti_status (*run)(const struct subject *), double share, double *ps)
{
	double low, high;

	TRY(measure(s, run, CACHED_LOW, &low));
	TRY(measure(s, run, CACHED_HIGH, &high));
	*ps = (high - low) * PS / (double)(CACHED_HIGH - CACHED_LOW) / share;
	return TUTTI_OK;
}

static tutti_status
link(struct subject *s, const struct tt_tune_link *l, struct tt_constants *constants, void (*step)(void))
{
	const double kept = constants->value[TT_CONSTANT_COPY_CACHED];
	double small, two, echo, flight, looks, both, ways;

	/* Of two messages, one after the other, and of one: what is left is the call. */
	TRY(measure(s, run_oneshot, SMALL, &small));
	TRY(measure(s, run_direct, SMALL, &two));
	set(s->comm, constants, l->message, (two - small) * NS);
	if (l->message == TT_CONSTANT_SHM_MESSAGE)
		set(s->comm, constants, TT_CONSTANT_CALL, (2 * small - two) * NS);
	step();
	TRY(measure(s, run_echo, SMALL, &echo));
	TRY(measure(s, run_flight, SMALL, &flight));
	set(s->comm, constants, l->post, (flight - echo) * NS / (IN_FLIGHT - 1));
	if (l->look != TT_CONSTANTS) {
		TRY(measure(s, run_looks, SMALL, &looks));
		set(s->comm, constants, l->look, (looks - echo) * NS / LOOKS);
	}
	step();
	/* Half of the bytes go each way at once, and as many stay. In the broadcast those that stay are the root's. */
	TRY(slope(s, run_ring, 0.5, &both));
	set(s->comm, constants, l->byte, both - kept);
	TRY(slope(s, run_chains, 2, &ways));
	set(s->comm, constants, l->one_way, ways);
	step();
	return TUTTI_OK;
}

tutti_status
tt_tune_link(tutti_comm *comm, const struct tt_tune_link *l, struct tt_constants *constants, void (*step)(void))
{
	struct subject s;
	tutti_status status = TUTTI_ERR_NOMEM;

	if (take(&s, comm))
		status = link(&s, l, constants, step);
	drop(&s);
	return status;
}

/* Can each rank read the other's memory? The same on both. */
static tutti_status
read_each_other(tutti_comm *comm, bool *can)
{
	unsigned char kept[TT_REMOTE_PROOF];
	struct tt_remote mine, both[2];
	int32_t ok;

	tt_remote_init(&mine, kept);
	TRY(tutti_all_gather(comm, &mine, both, sizeof(mine), TUTTI_UINT8, NULL, NULL));
	ok = tt_remote_prove(&both[1 - tutti_comm_rank(comm)]) == 0;
	/* The proof stays until both have looked. */
	TRY(tutti_all_reduce(comm, &ok, &ok, 1, TUTTI_INT32, TUTTI_MIN, NULL, NULL));
	*can = ok != 0;
	return TUTTI_OK;
}

/* What the stage needs per byte: half is copied in and half out, of what is added half is read where another rank has
 * put it, and half of the result stays. */
static tutti_status
node(struct subject *s, struct tt_constants *constants, void (*step)(void))
{
	const double known =
	    (constants->value[TT_CONSTANT_COPY_CACHED] + constants->value[TT_CONSTANT_REDUCE_CACHED]) / 2;
	const double kept = constants->value[TT_CONSTANT_COPY_CACHED], call = constants->value[TT_CONSTANT_CALL];
	double small, each, row;
	bool far;

	TRY(measure(s, run_node, SMALL, &small));
	set(s->comm, constants, TT_CONSTANT_MEET, small * NS - constants->value[TT_CONSTANT_CALL]);
	step();
	TRY(slope(s, run_node, 1, &each));
	set(s->comm, constants, TT_CONSTANT_COPY_SHARED, (each - known) / 1.25);
	step();
	TRY(read_each_other(s->comm, &far));
	if (!far) {
		step();
		return TUTTI_OK;
	}
	/* Each rank has a row for itself and one for the other, which it reads between two meetings. */
	TRY(slope(s, run_exchange, 0.5, &each));
	TRY(measure(s, run_exchange, CACHED_LOW, &row));
	set(s->comm, constants, TT_CONSTANT_REMOTE_BYTE, each - kept);
	set(s->comm, constants, TT_CONSTANT_REMOTE_CALL,
	    row * NS - each * (double)CACHED_LOW / 2 / PS_PER_NS - 2 * constants->value[TT_CONSTANT_MEET] - call);
	step();
	return TUTTI_OK;
}

/* ---- one core ------------------------------------------------------------------------------------------------------ */

static bool
is_empty(const struct tt_cpu_set *set)
{
	return tt_cpu_set_count(set) == 0;
}

/* May the two be on two cores? The same on both. */
static tutti_status
have_two_cores(tutti_comm *comm, bool *two)
{
	struct tt_cpu_set mine = {{0}}, both[2], all = {{0}};

	(void)tt_host_affinity(&mine);
	TRY(tutti_all_gather(comm, mine.bits, both, TT_HOST_CPUS / 64, TUTTI_UINT64, NULL, NULL));
	for (int w = 0; w < TT_HOST_CPUS / 64; w++)
		all.bits[w] = both[0].bits[w] | both[1].bits[w];
	*two = tt_cpu_set_count(&all) > 1;
	return TUTTI_OK;
}

/* Binds both ranks to the first CPU that rank 0 may use; false on both if one of them cannot be. */
static tutti_status
bind_together(tutti_comm *comm, const struct tt_cpu_set *mine, bool *bound)
{
	struct tt_cpu_set one = {{0}};
	int32_t ok;

	for (int w = 0; w < TT_HOST_CPUS / 64 && is_empty(&one); w++)
		one.bits[w] = mine->bits[w] & (~mine->bits[w] + 1);
	TRY(tutti_broadcast(comm, one.bits, one.bits, TT_HOST_CPUS / 64, TUTTI_UINT64, 0, NULL, NULL));
	ok = !is_empty(&one) && tt_host_bind(&one) == TUTTI_OK;
	TRY(tutti_all_reduce(comm, &ok, &ok, 1, TUTTI_INT32, TUTTI_MIN, NULL, NULL));
	*bound = ok != 0;
	return TUTTI_OK;
}

/* A message and its answer: on two cores and on one, where each is another rank's turn. The communicator is made when they
 * are bound, so that it knows. */
static tutti_status
turn(struct subject *s, const struct tt_cpu_set *mine, struct tt_constants *constants)
{
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *const two = s->comm;
	double apart, together;
	tutti_status status;
	bool bound;

	TRY(have_two_cores(two, &bound));
	if (!bound)
		return TUTTI_OK; /* there is nothing to compare a turn with */
	config.transports = "shm";
	TRY(measure(s, run_echo, SMALL, &apart));
	TRY(bind_together(two, mine, &bound));
	if (!bound)
		return TUTTI_OK;
	TRY(tutti_comm_split(two, 0, 0, &config, &s->comm));
	status = measure(s, run_echo, SMALL, &together);
	tutti_comm_destroy(s->comm);
	s->comm = two;
	if (status == TUTTI_OK)
		set(two, constants, TT_CONSTANT_YIELD,
		    (together - apart) / 2 * NS + constants->value[TT_CONSTANT_HANDOFF]);
	return status;
}

tutti_status
tt_tune_turn(tutti_comm *comm, struct tt_constants *constants, void (*step)(void))
{
	struct tt_cpu_set mine = {{0}};
	struct subject s;
	tutti_status status = TUTTI_ERR_NOMEM;

	(void)tt_host_affinity(&mine); /* unknown: nobody is bound */
	if (take(&s, comm))
		status = turn(&s, &mine, constants);
	drop(&s);
	if (!is_empty(&mine))
		(void)tt_host_bind(&mine);
	step();
	return status;
}

/* ---- what ranks of a node do together ---------------------------------------------------------------------------------- */

tutti_status
tt_tune_node(tutti_comm *comm, struct tt_constants *constants, void (*step)(void))
{
	struct subject s;
	tutti_status status = TUTTI_ERR_NOMEM;

	if (take(&s, comm))
		status = node(&s, constants, step);
	drop(&s);
	return status;
}
