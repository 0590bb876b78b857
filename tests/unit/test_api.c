/* SPDX-License-Identifier: Apache-2.0
 *
 * test_api.c - misuse of the public interface: every wrong call gets its status and a message, and changes nothing; and
 * the corners that are right though they look wrong.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tutti/tutti.h>

#define TIMED .timeout = 30

/* ---- helpers ------------------------------------------------------------------------------------------------------- */

static tutti_comm *
alone(void)
{
	tutti_comm *comm = NULL;

	cr_assert(eq(int, tutti_comm_create(1, 0, NULL, NULL, &comm), TUTTI_OK));
	return comm;
}

static const char *
last_message(void)
{
	static tutti_error error;

	error = (tutti_error)TUTTI_ERROR_INIT;
	(void)tutti_last_error(&error);
	return error.message;
}

static void
is_usable(tutti_comm *comm)
{
	int32_t one = 1, sum = 0;

	cr_expect(eq(int, tutti_all_reduce(comm, &one, &sum, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL), TUTTI_OK));
	cr_expect(eq(int, sum, tutti_comm_size(comm)));
	cr_expect(eq(int, tutti_comm_error(comm, NULL), TUTTI_OK));
}

static void
refuses(tutti_comm *comm, tutti_status got, tutti_status expected, const char *word)
{
	cr_expect(
	    eq(int, got, expected), "%s, should be %s", tutti_status_string(got), tutti_status_string(expected));
	cr_expect(strstr(last_message(), word) != NULL, "\"%s\" does not say \"%s\"", last_message(), word);
	if (comm != NULL)
		is_usable(comm);
}

/* Two ranks, each a thread that runs one function; nothing is asserted in them. */
struct pair {
	tutti_unique_id id;
	tutti_comm *comm[2];
	tutti_status status[2];
	tutti_error error[2];
	void (*work)(struct pair *pair, int rank);
	int64_t timeout_ms;
	int progress_thread[2];
};

struct side {
	struct pair *pair;
	int rank;
};

static void *
side_main(void *argument)
{
	const struct side *side = argument;

	side->pair->work(side->pair, side->rank);
	side->pair->error[side->rank] = (tutti_error)TUTTI_ERROR_INIT;
	(void)tutti_last_error(&side->pair->error[side->rank]);
	return NULL;
}

static void
both(struct pair *pair, void (*work)(struct pair *pair, int rank))
{
	struct side sides[2] = {{pair, 0}, {pair, 1}};
	pthread_t thread;

	pair->work = work;
	pthread_create(&thread, NULL, side_main, &sides[1]);
	(void)side_main(&sides[0]);
	pthread_join(thread, NULL);
}

static void
create_side(struct pair *pair, int rank)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	config.timeout_ms = pair->timeout_ms;
	config.progress_thread = pair->progress_thread[rank];
	pair->status[rank] = tutti_comm_create(2, rank, &pair->id, &config, &pair->comm[rank]);
}

static void
pair_create_with(struct pair *pair, int64_t timeout_ms, int progress_0, int progress_1)
{
	memset(pair, 0, sizeof(*pair));
	pair->timeout_ms = timeout_ms;
	pair->progress_thread[0] = progress_0;
	pair->progress_thread[1] = progress_1;
	cr_assert(eq(int, tutti_unique_id_create(&pair->id), TUTTI_OK));
	both(pair, create_side);
	cr_assert(eq(int, pair->status[0], TUTTI_OK), "%s", pair->error[0].message);
	cr_assert(eq(int, pair->status[1], TUTTI_OK), "%s", pair->error[1].message);
}

static void
pair_create(struct pair *pair)
{
	pair_create_with(pair, 20000, -1, -1);
}

static void
sum_side(struct pair *pair, int rank)
{
	int32_t one = 1, sum = 0;

	pair->status[rank] = tutti_all_reduce(pair->comm[rank], &one, &sum, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL);
	if (pair->status[rank] == TUTTI_OK && sum != 2)
		pair->status[rank] = TUTTI_ERR_INTERNAL;
}

static void
pair_destroy(struct pair *pair)
{
	for (int r = 0; r < 2; r++)
		cr_expect(eq(int, tutti_comm_destroy(pair->comm[r]), TUTTI_OK));
}

/* ---- nothing there ---------------------------------------------------------------------------------------------- */

Test(api, a_null_communicator_is_an_argument_error, TIMED)
{
	int32_t a = 0, b = 0;
	size_t counts[1] = {1};
	char report[64];

#define REFUSED(call) refuses(NULL, call, TUTTI_ERR_ARGUMENT, "NULL")
	REFUSED(tutti_all_reduce(NULL, &a, &b, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL));
	REFUSED(tutti_reduce_scatter(NULL, &a, &b, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL));
	REFUSED(tutti_all_gather(NULL, &a, &b, 1, TUTTI_INT32, NULL, NULL));
	REFUSED(tutti_broadcast(NULL, &a, &b, 1, TUTTI_INT32, 0, NULL, NULL));
	REFUSED(tutti_reduce(NULL, &a, &b, 1, TUTTI_INT32, TUTTI_SUM, 0, NULL, NULL));
	REFUSED(tutti_scatter(NULL, &a, &b, 1, TUTTI_INT32, 0, NULL, NULL));
	REFUSED(tutti_gather(NULL, &a, &b, 1, TUTTI_INT32, 0, NULL, NULL));
	REFUSED(tutti_all_to_all(NULL, &a, &b, 1, TUTTI_INT32, NULL, NULL));
	REFUSED(tutti_barrier(NULL, NULL, NULL));
	REFUSED(tutti_all_gatherv(NULL, &a, 1, &b, counts, NULL, TUTTI_INT32, NULL, NULL));
	REFUSED(tutti_reduce_scatterv(NULL, &a, &b, counts, TUTTI_INT32, TUTTI_SUM, NULL, NULL));
	REFUSED(tutti_scatterv(NULL, &a, counts, NULL, &b, 1, TUTTI_INT32, 0, NULL, NULL));
	REFUSED(tutti_gatherv(NULL, &a, 1, &b, counts, NULL, TUTTI_INT32, 0, NULL, NULL));
	REFUSED(tutti_all_to_allv(NULL, &a, counts, NULL, &b, counts, NULL, TUTTI_INT32, NULL, NULL));
	REFUSED(tutti_comm_abort(NULL));
	REFUSED(tutti_comm_error(NULL, NULL));
	REFUSED(tutti_explain(NULL, "all_reduce", 8, 0, report, sizeof(report), NULL));
#undef REFUSED
	cr_expect(eq(int, tutti_comm_destroy(NULL), TUTTI_OK));
	cr_expect(eq(int, tutti_comm_rank(NULL), -1));
	cr_expect(eq(int, tutti_comm_size(NULL), -1));
	cr_expect(eq(int, tutti_comm_node_rank(NULL), -1));
	cr_expect(eq(int, tutti_comm_node_size(NULL), -1));
}

Test(api, null_buffers_are_refused_unless_nothing_is_in_them, TIMED)
{
	tutti_comm *comm = alone();
	int32_t data = 5;

	refuses(comm, tutti_all_reduce(comm, NULL, &data, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL), TUTTI_ERR_ARGUMENT,
	    "send is NULL");
	refuses(comm, tutti_all_reduce(comm, &data, NULL, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL), TUTTI_ERR_ARGUMENT,
	    "recv is NULL");
	refuses(comm, tutti_broadcast(comm, NULL, &data, 1, TUTTI_INT32, 0, NULL, NULL), TUTTI_ERR_ARGUMENT, "send");
	refuses(comm, tutti_gather(comm, &data, NULL, 1, TUTTI_INT32, 0, NULL, NULL), TUTTI_ERR_ARGUMENT, "recv");
	refuses(comm, tutti_all_gatherv(comm, &data, 1, &data, NULL, NULL, TUTTI_INT32, NULL, NULL),
	    TUTTI_ERR_ARGUMENT, "counts");
	cr_expect(eq(int, data, 5));
	cr_expect(eq(int, tutti_all_reduce(comm, NULL, NULL, 0, TUTTI_INT32, TUTTI_SUM, NULL, NULL), TUTTI_OK));
	cr_expect(eq(int, tutti_all_to_all(comm, NULL, NULL, 0, TUTTI_FLOAT64, NULL, NULL), TUTTI_OK));
	tutti_comm_destroy(comm);
}

/* ---- wrong values -------------------------------------------------------------------------------------------------- */

Test(api, unknown_types_and_operators_are_refused, TIMED)
{
	tutti_comm *comm = alone();
	int64_t a = 1, b = 7;

	refuses(comm, tutti_all_reduce(comm, &a, &b, 1, (tutti_dtype)99, TUTTI_SUM, NULL, NULL), TUTTI_ERR_ARGUMENT,
	    "99");
	refuses(comm, tutti_broadcast(comm, &a, &b, 1, (tutti_dtype)-1, 0, NULL, NULL), TUTTI_ERR_ARGUMENT, "type");
	refuses(comm, tutti_send(comm, &a, 1, (tutti_dtype)(256 + TUTTI_INT32), 0, 0, NULL, NULL), TUTTI_ERR_ARGUMENT,
	    "260");
	refuses(comm, tutti_all_reduce(comm, &a, &b, 1, TUTTI_INT32, 77, NULL, NULL), TUTTI_ERR_ARGUMENT, "77");
	refuses(comm, tutti_all_reduce(comm, &a, &b, 1, TUTTI_INT32, -1, NULL, NULL), TUTTI_ERR_ARGUMENT, "operator");
	cr_expect(eq(i64, b, 7));
	tutti_comm_destroy(comm);
}

Test(api, bitwise_operators_on_floats_and_averages_of_bools_are_refused, TIMED)
{
	static const tutti_dtype floats[] = {
	    TUTTI_FLOAT16, TUTTI_BFLOAT16, TUTTI_FLOAT32, TUTTI_FLOAT64, TUTTI_FLOAT8_E4M3, TUTTI_FLOAT8_E5M2};
	tutti_comm *comm = alone();
	int64_t a = 1, b = 7;

	for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++)
		for (tutti_op op = TUTTI_BAND; op <= TUTTI_BXOR; op++)
			refuses(comm, tutti_all_reduce(comm, &a, &b, 1, floats[i], op, NULL, NULL),
			    TUTTI_ERR_ARGUMENT, "float");
	refuses(
	    comm, tutti_reduce(comm, &a, &b, 1, TUTTI_BOOL, TUTTI_AVG, 0, NULL, NULL), TUTTI_ERR_ARGUMENT, "bool");
	cr_expect(eq(i64, b, 7));
	tutti_comm_destroy(comm);
}

Test(api, roots_outside_of_the_communicator_are_refused, TIMED)
{
	tutti_comm *comm = alone();
	size_t counts[1] = {1};
	int32_t a = 1, b = 7;

	for (int root = -1; root <= 1; root += 2) {
		refuses(comm, tutti_broadcast(comm, &a, &b, 1, TUTTI_INT32, root, NULL, NULL), TUTTI_ERR_ARGUMENT,
		    "root");
		refuses(comm, tutti_reduce(comm, &a, &b, 1, TUTTI_INT32, TUTTI_SUM, root, NULL, NULL),
		    TUTTI_ERR_ARGUMENT, "root");
		refuses(
		    comm, tutti_scatter(comm, &a, &b, 1, TUTTI_INT32, root, NULL, NULL), TUTTI_ERR_ARGUMENT, "root");
		refuses(
		    comm, tutti_gather(comm, &a, &b, 1, TUTTI_INT32, root, NULL, NULL), TUTTI_ERR_ARGUMENT, "root");
		refuses(comm, tutti_scatterv(comm, &a, counts, NULL, &b, 1, TUTTI_INT32, root, NULL, NULL),
		    TUTTI_ERR_ARGUMENT, "root");
		refuses(comm, tutti_gatherv(comm, &a, 1, &b, counts, NULL, TUTTI_INT32, root, NULL, NULL),
		    TUTTI_ERR_ARGUMENT, "root");
	}
	cr_expect(eq(int, b, 7));
	tutti_comm_destroy(comm);
}

Test(api, overlapping_buffers_are_refused_and_not_written, TIMED)
{
	tutti_comm *comm = alone();
	int32_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	const int32_t before[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	size_t counts[1] = {4};

#define REFUSED(call) refuses(comm, call, TUTTI_ERR_ARGUMENT, "overlap")
	REFUSED(tutti_all_reduce(comm, data, data + 1, 4, TUTTI_INT32, TUTTI_SUM, NULL, NULL));
	REFUSED(tutti_all_reduce(comm, data + 3, data, 4, TUTTI_INT32, TUTTI_SUM, NULL, NULL));
	REFUSED(tutti_all_reduce(comm, data, (char *)data + 1, 4, TUTTI_INT32, TUTTI_SUM, NULL, NULL));
	REFUSED(tutti_broadcast(comm, data, data + 2, 4, TUTTI_INT32, 0, NULL, NULL));
	REFUSED(tutti_all_gather(comm, data + 1, data, 4, TUTTI_INT32, NULL, NULL));
	REFUSED(tutti_reduce_scatter(comm, data, data + 1, 4, TUTTI_INT32, TUTTI_SUM, NULL, NULL));
	REFUSED(tutti_all_to_all(comm, data, data + 1, 4, TUTTI_INT32, NULL, NULL));
	REFUSED(tutti_gatherv(comm, data, 4, data + 1, counts, NULL, TUTTI_INT32, 0, NULL, NULL));
#undef REFUSED
	cr_expect(eq(int, memcmp(data, before, sizeof(data)), 0));
	/* Side by side is not overlapping. */
	cr_expect(eq(int, tutti_all_reduce(comm, data, data + 4, 4, TUTTI_INT32, TUTTI_SUM, NULL, NULL), TUTTI_OK));
	tutti_comm_destroy(comm);
}

Test(api, counts_beyond_memory_are_refused, TIMED)
{
	tutti_comm *comm = alone();
	size_t counts[1] = {SIZE_MAX};
	int32_t a = 1, b = 7;

	refuses(comm, tutti_all_reduce(comm, &a, &b, SIZE_MAX, TUTTI_INT32, TUTTI_SUM, NULL, NULL),
	    TUTTI_ERR_ARGUMENT, "memory");
	refuses(comm, tutti_all_reduce(comm, &a, &b, SIZE_MAX / 4 + 2, TUTTI_INT32, TUTTI_SUM, NULL, NULL),
	    TUTTI_ERR_ARGUMENT, "memory");
	refuses(comm, tutti_all_gatherv(comm, &a, SIZE_MAX, &b, counts, NULL, TUTTI_INT32, NULL, NULL),
	    TUTTI_ERR_ARGUMENT, "memory");
	tutti_comm_destroy(comm);
}

/* ---- structs that grow --------------------------------------------------------------------------------------------- */

struct newer_options {
	tutti_options known;
	int64_t unknown;
};

Test(api, options_of_an_unknown_size_are_refused_unless_the_rest_is_zero, TIMED)
{
	tutti_comm *comm = alone();
	struct newer_options newer = {TUTTI_OPTIONS_INIT, 0};

	newer.known.size = sizeof(newer);
	cr_expect(eq(int, tutti_barrier(comm, &newer.known, NULL), TUTTI_OK));
	newer.unknown = 1;
	refuses(comm, tutti_barrier(comm, &newer.known, NULL), TUTTI_ERR_VERSION, "newer");
	newer.known.size = 0;
	refuses(comm, tutti_barrier(comm, &newer.known, NULL), TUTTI_ERR_ARGUMENT, "TUTTI_OPTIONS_INIT");
	tutti_comm_destroy(comm);
}

Test(api, fields_beyond_the_size_of_options_are_not_read, TIMED)
{
	tutti_comm *comm = alone();
	tutti_options older = {.size = sizeof(size_t), .timeout_ms = -77, .algorithm = "none such"};

	cr_expect(eq(int, tutti_barrier(comm, &older, NULL), TUTTI_OK), "%s", last_message());
	tutti_comm_destroy(comm);
}

struct newer_config {
	tutti_config known;
	int64_t unknown;
};

Test(api, a_config_of_an_unknown_size_is_refused_unless_the_rest_is_zero, TIMED)
{
	struct newer_config newer = {TUTTI_CONFIG_INIT, 0};
	tutti_comm *comm = NULL;

	newer.known.size = sizeof(newer);
	cr_expect(eq(int, tutti_comm_create(1, 0, NULL, &newer.known, &comm), TUTTI_OK));
	tutti_comm_destroy(comm);
	comm = NULL;
	newer.unknown = 1;
	refuses(NULL, tutti_comm_create(1, 0, NULL, &newer.known, &comm), TUTTI_ERR_VERSION, "newer");
	newer.known.size = 0;
	refuses(NULL, tutti_comm_create(1, 0, NULL, &newer.known, &comm), TUTTI_ERR_ARGUMENT, "TUTTI_CONFIG_INIT");
	cr_expect(comm == NULL);
}

Test(api, an_error_record_without_a_size_is_refused, TIMED)
{
	tutti_comm *comm = alone();
	tutti_error error = TUTTI_ERROR_INIT;

	error.size = 0;
	cr_expect(eq(int, tutti_last_error(&error), TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, tutti_last_error(NULL), TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, tutti_comm_error(comm, &error), TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, tutti_comm_error(comm, NULL), TUTTI_OK));
	tutti_comm_destroy(comm);
}

Test(api, a_shorter_error_record_is_filled_as_far_as_it_goes, TIMED)
{
	tutti_error error = TUTTI_ERROR_INIT;

	cr_expect(eq(int, tutti_barrier(NULL, NULL, NULL), TUTTI_ERR_ARGUMENT));
	error.size = offsetof(tutti_error, sequence);
	memset(error.message, 'x', sizeof(error.message));
	cr_expect(eq(int, tutti_last_error(&error), TUTTI_OK));
	cr_expect(eq(int, error.status, TUTTI_ERR_ARGUMENT));
	cr_expect(eq(int, error.message[0], 'x'));
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

Test(api, an_unknown_algorithm_is_refused_with_the_names_there_are, TIMED)
{
	tutti_comm *comm = alone();
	tutti_options options = TUTTI_OPTIONS_INIT;
	int32_t a = 1, b = 7;

	options.algorithm = "warp";
	refuses(comm, tutti_all_reduce(comm, &a, &b, 1, TUTTI_INT32, TUTTI_SUM, &options, NULL), TUTTI_ERR_ARGUMENT,
	    "ring");
	cr_expect(
	    eq(int, tutti_all_reduce(comm, &a, &b, 1, TUTTI_INT32, TUTTI_SUM, &options, NULL), TUTTI_ERR_ARGUMENT));
	cr_expect(strstr(last_message(), "warp") != NULL);
	options.algorithm = "";
	refuses(comm, tutti_all_reduce(comm, &a, &b, 1, TUTTI_INT32, TUTTI_SUM, &options, NULL), TUTTI_ERR_ARGUMENT,
	    "ring");
	cr_expect(eq(int, b, 7));
	tutti_comm_destroy(comm);
}

Test(api, rules_that_do_not_fit_are_refused, TIMED)
{
	char rules[1024];
	size_t used = 0;
	tutti_comm *comm = NULL;

	while (used < 600)
		used +=
		    (size_t)snprintf(rules + used, sizeof(rules) - used, "%sall_reduce=ring", used > 0 ? ";" : "");
	setenv("TUTTI_ALGORITHM", rules, 1);
	refuses(NULL, tutti_comm_create(1, 0, NULL, NULL, &comm), TUTTI_ERR_ARGUMENT, "TUTTI_ALGORITHM");
	unsetenv("TUTTI_ALGORITHM");
}

Test(api, options_and_counts_are_not_needed_after_the_call, TIMED)
{
	tutti_comm *comm = alone();
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_request *request = NULL;
	size_t counts[1] = {2}, offsets[1] = {1};
	char name[] = "ring";
	int32_t data[2] = {4, 5}, result[3] = {0, 0, 0};

	options.algorithm = name;
	options.timeout_ms = 5000;
	cr_assert(
	    eq(int, tutti_all_reduce(comm, data, result, 1, TUTTI_INT32, TUTTI_SUM, &options, &request), TUTTI_OK));
	memset(&options, 0xff, sizeof(options));
	memset(name, 0xff, sizeof(name));
	cr_expect(eq(int, tutti_wait(&request), TUTTI_OK));
	cr_assert(eq(
	    int, tutti_all_gatherv(comm, data, 2, result, counts, offsets, TUTTI_INT32, NULL, &request), TUTTI_OK));
	memset(counts, 0xff, sizeof(counts));
	memset(offsets, 0xff, sizeof(offsets));
	cr_expect(eq(int, tutti_wait(&request), TUTTI_OK));
	cr_expect(eq(int, result[1], 4));
	cr_expect(eq(int, result[2], 5));
	tutti_comm_destroy(comm);
}

Test(api, a_time_limit_below_minus_one_is_refused, TIMED)
{
	tutti_comm *comm = alone();
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *other = NULL;

	options.timeout_ms = -2;
	refuses(comm, tutti_barrier(comm, &options, NULL), TUTTI_ERR_ARGUMENT, "timeout_ms");
	config.timeout_ms = -2;
	refuses(NULL, tutti_comm_create(1, 0, NULL, &config, &other), TUTTI_ERR_ARGUMENT, "-2");
	options.timeout_ms = -1;
	cr_expect(eq(int, tutti_barrier(comm, &options, NULL), TUTTI_OK));
	tutti_comm_destroy(comm);
}

Test(api, unknown_transports_are_refused_with_the_names_there_are, TIMED)
{
	static const char *const wrong[] = {"pigeon", "", "shm,", ",tcp", "shm,,tcp", "SHM", "shm tcp"};
	tutti_config config = TUTTI_CONFIG_INIT;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		tutti_comm *comm = NULL;

		config.transports = wrong[i];
		refuses(NULL, tutti_comm_create(1, 0, NULL, &config, &comm), TUTTI_ERR_ARGUMENT, "tcp");
		cr_expect(comm == NULL);
	}
}

/* ---- creation ------------------------------------------------------------------------------------------------------- */

Test(api, impossible_communicators_are_refused, TIMED)
{
	tutti_unique_id zeros = {{0}};
	tutti_comm *comm = NULL;

	refuses(NULL, tutti_comm_create(0, 0, NULL, NULL, &comm), TUTTI_ERR_ARGUMENT, "size");
	refuses(NULL, tutti_comm_create(-3, 0, NULL, NULL, &comm), TUTTI_ERR_ARGUMENT, "size");
	refuses(NULL, tutti_comm_create(2, 2, &zeros, NULL, &comm), TUTTI_ERR_ARGUMENT, "rank");
	refuses(NULL, tutti_comm_create(2, -1, &zeros, NULL, &comm), TUTTI_ERR_ARGUMENT, "rank");
	refuses(NULL, tutti_comm_create(2, 0, NULL, NULL, &comm), TUTTI_ERR_ARGUMENT, "unique id");
	refuses(NULL, tutti_comm_create(2, 1, &zeros, NULL, &comm), TUTTI_ERR_ARGUMENT, "id");
	refuses(NULL, tutti_comm_create(1, 0, NULL, NULL, NULL), TUTTI_ERR_ARGUMENT, "NULL");
	refuses(NULL, tutti_unique_id_create(NULL), TUTTI_ERR_ARGUMENT, "id");
	cr_expect(comm == NULL);
}

Test(api, an_id_made_elsewhere_is_refused_on_rank_0, TIMED)
{
	tutti_unique_id id;
	tutti_comm *comm = NULL;

	cr_assert(eq(int, tutti_unique_id_create(&id), TUTTI_OK));
	id.bytes[20] = (char)~id.bytes[20];
	cr_expect(ne(int, tutti_comm_create(2, 0, &id, NULL, &comm), TUTTI_OK));
	cr_expect(comm == NULL);
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

Test(api, a_null_request_is_done, TIMED)
{
	tutti_request *request = NULL, *several[3] = {NULL, NULL, NULL};
	int done = 0;

	cr_expect(eq(int, tutti_wait(&request), TUTTI_OK));
	cr_expect(eq(int, tutti_test(&request, &done), TUTTI_OK));
	cr_expect(eq(int, done, 1));
	cr_expect(eq(int, tutti_wait_all(3, several), TUTTI_OK));
	cr_expect(eq(int, tutti_wait_all(0, NULL), TUTTI_OK));
	refuses(NULL, tutti_wait(NULL), TUTTI_ERR_ARGUMENT, "tutti_wait");
	refuses(NULL, tutti_test(NULL, &done), TUTTI_ERR_ARGUMENT, "tutti_test");
	refuses(NULL, tutti_test(&request, NULL), TUTTI_ERR_ARGUMENT, "tutti_test");
	refuses(NULL, tutti_wait_all(1, NULL), TUTTI_ERR_ARGUMENT, "tutti_wait_all");
}

Test(api, requests_may_be_finished_in_any_order, TIMED)
{
	tutti_comm *comm = alone();
	tutti_request *request[5];
	int32_t one = 1, sum[5] = {0};
	int done = 0;

	for (int i = 0; i < 5; i++)
		cr_assert(eq(int, tutti_all_reduce(comm, &one, &sum[i], 1, TUTTI_INT32, TUTTI_SUM, NULL, &request[i]),
		    TUTTI_OK));
	cr_expect(eq(int, tutti_wait(&request[3]), TUTTI_OK));
	while (!done)
		cr_assert(eq(int, tutti_test(&request[1], &done), TUTTI_OK));
	cr_expect(eq(int, tutti_wait_all(5, request), TUTTI_OK));
	for (int i = 0; i < 5; i++) {
		cr_expect(request[i] == NULL);
		cr_expect(eq(int, sum[i], 1));
	}
	is_usable(comm);
	tutti_comm_destroy(comm);
}

/* Rank 1 never comes; rank 0's second operation has less time than the first, behind which it waits. */
static void
hasty_side(struct pair *pair, int rank)
{
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_request *patient = NULL;

	if (rank == 1)
		return;
	pair->status[0] = tutti_barrier(pair->comm[0], NULL, &patient);
	options.timeout_ms = 300;
	if (pair->status[0] == TUTTI_OK)
		pair->status[0] = tutti_barrier(pair->comm[0], &options, NULL);
	(void)tutti_wait(&patient);
}

Test(api, a_time_limit_counts_while_the_operation_waits_for_its_turn, TIMED)
{
	struct pair pair;

	pair_create(&pair);
	both(&pair, hasty_side);
	cr_expect(eq(int, pair.status[0], TUTTI_ERR_TIMEOUT));
	cr_expect(eq(u64, pair.error[0].sequence, 2));
	cr_expect(eq(int, pair.error[0].rank, 1));
	cr_expect(strstr(pair.error[0].message, "300 ms") != NULL, "%s", pair.error[0].message);
	pair_destroy(&pair);
}

/* Rank 0's first receive gets its message only after the wait for its second one has returned. */
static tutti_status
wait_for_second(tutti_comm *comm)
{
	const struct timespec moment = {.tv_nsec = 100000000};
	tutti_request *first = NULL, *second = NULL;
	int32_t a = 0, b = 0, c = 3;
	tutti_status status = tutti_recv(comm, &a, 1, TUTTI_INT32, 1, 1, NULL, NULL, &first);

	if (status == TUTTI_OK)
		status = tutti_recv(comm, &b, 1, TUTTI_INT32, 1, 2, NULL, NULL, &second);
	nanosleep(&moment, NULL); /* the progress thread is at it by now */
	if (status == TUTTI_OK)
		status = tutti_wait(&second);
	if (status == TUTTI_OK)
		status = tutti_send(comm, &c, 1, TUTTI_INT32, 1, 3, NULL, NULL);
	if (status == TUTTI_OK)
		status = tutti_wait(&first);
	return status == TUTTI_OK && (a != 1 || b != 2) ? TUTTI_ERR_INTERNAL : status;
}

static tutti_status
send_second_first(tutti_comm *comm)
{
	const struct timespec moment = {.tv_nsec = 300000000};
	int32_t a = 1, b = 2, c = 0;
	tutti_status status;

	nanosleep(&moment, NULL);
	status = tutti_send(comm, &b, 1, TUTTI_INT32, 0, 2, NULL, NULL);
	if (status == TUTTI_OK)
		status = tutti_recv(comm, &c, 1, TUTTI_INT32, 0, 3, NULL, NULL, NULL);
	return status == TUTTI_OK ? tutti_send(comm, &a, 1, TUTTI_INT32, 0, 1, NULL, NULL) : status;
}

static void
second_first_side(struct pair *pair, int rank)
{
	pair->status[rank] = rank == 0 ? wait_for_second(pair->comm[0]) : send_second_first(pair->comm[1]);
}

Test(api, a_wait_returns_though_the_progress_thread_has_more_to_do, TIMED)
{
	struct pair pair;

	pair_create_with(&pair, 6000, 1, 1);
	both(&pair, second_first_side);
	for (int r = 0; r < 2; r++)
		cr_expect(eq(int, pair.status[r], TUTTI_OK), "%s", pair.error[r].message);
	pair_destroy(&pair);
}

/* A progress thread has one of two relatives here and the other one there; the waits leave the driving to it. */
static void
relatives_side(struct pair *pair, int rank)
{
	enum { COUNT = 1 << 20 };
	const struct timespec moment = {.tv_nsec = 100000000};
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_comm *comm[2] = {pair->comm[rank], NULL};
	tutti_request *request[2] = {NULL, NULL};
	int32_t *data[2] = {calloc(COUNT, sizeof(int32_t)), calloc(COUNT, sizeof(int32_t))};
	tutti_status status;

	config.timeout_ms = pair->timeout_ms;
	config.progress_thread = -pair->progress_thread[rank];
	status = tutti_comm_split(comm[0], 0, 0, &config, &comm[1]);
	for (int i = 1; i >= 0 && status == TUTTI_OK; i--) {
		if ((i == 0) == (rank == 0))
			nanosleep(&moment, NULL);
		status =
		    tutti_all_reduce(comm[i], data[i], data[i], COUNT, TUTTI_INT32, TUTTI_SUM, NULL, &request[i]);
	}
	for (int i = 0; i < 2; i++) {
		const tutti_status end = tutti_wait(&request[i ^ rank]);

		status = status == TUTTI_OK ? end : status;
	}
	pair->status[rank] = status;
	(void)tutti_comm_destroy(comm[1]);
	free(data[0]);
	free(data[1]);
}

Test(api, progress_threads_drive_relatives_as_waits_do, TIMED)
{
	struct pair pair;

	pair_create_with(&pair, 6000, 1, -1);
	both(&pair, relatives_side);
	for (int r = 0; r < 2; r++)
		cr_expect(eq(int, pair.status[r], TUTTI_OK), "%s", pair.error[r].message);
	pair_destroy(&pair);
}

Test(api, a_failing_nonblocking_call_gives_no_request, TIMED)
{
	tutti_comm *comm = alone();
	tutti_request *request = NULL;

	refuses(comm, tutti_barrier(comm, &(tutti_options){0}, &request), TUTTI_ERR_ARGUMENT, "size");
	cr_expect(request == NULL);
	tutti_comm_destroy(comm);
}

Test(api, a_request_outlives_its_communicator, TIMED)
{
	int32_t one = 1, sum[2] = {-5, -5};
	tutti_request *request[2] = {NULL, NULL};
	struct pair pair;

	pair_create(&pair);
	for (int i = 0; i < 2; i++)
		cr_assert(eq(int,
		    tutti_all_reduce(pair.comm[0], &one, &sum[i], 1, TUTTI_INT32, TUTTI_SUM, NULL, &request[i]),
		    TUTTI_OK));
	cr_expect(eq(int, tutti_comm_destroy(pair.comm[0]), TUTTI_OK));
	cr_expect(eq(int, tutti_wait(&request[1]), TUTTI_ERR_STATE));
	cr_expect(strstr(last_message(), "destroyed") != NULL, "%s", last_message());
	cr_expect(eq(int, tutti_wait_all(2, request), TUTTI_ERR_STATE));
	cr_expect(request[0] == NULL);
	cr_expect(eq(int, sum[0], -5));
	cr_expect(eq(int, tutti_comm_destroy(pair.comm[1]), TUTTI_OK));
}

static void
wait_all_side(struct pair *pair, int rank)
{
	int32_t one = 1, sum = 0;
	tutti_options brief = TUTTI_OPTIONS_INIT;
	tutti_request *request[3] = {NULL, NULL, NULL};

	brief.timeout_ms = 300;
	(void)tutti_all_reduce(pair->comm[rank], &one, &sum, 1, TUTTI_INT32, TUTTI_SUM, NULL, &request[0]);
	if (rank == 0) { /* the other one never calls these */
		(void)tutti_barrier(pair->comm[rank], &brief, &request[1]);
		(void)tutti_barrier(pair->comm[rank], &brief, &request[2]);
	}
	pair->status[rank] = tutti_wait_all(3, request);
	if (request[0] != NULL || request[1] != NULL || request[2] != NULL || sum != 2)
		pair->status[rank] = TUTTI_ERR_INTERNAL;
}

Test(api, wait_all_finishes_all_and_returns_the_first_error, TIMED)
{
	struct pair pair;

	pair_create(&pair);
	both(&pair, wait_all_side);
	cr_expect(eq(int, pair.status[0], TUTTI_ERR_TIMEOUT), "%s", pair.error[0].message);
	cr_expect(eq(int, pair.error[0].rank, 1));
	cr_expect(eq(u64, pair.error[0].sequence, 2));
	cr_expect(eq(int, pair.status[1], TUTTI_OK), "%s", pair.error[1].message);
	cr_expect(eq(int, tutti_barrier(pair.comm[0], NULL, NULL), TUTTI_ERR_STATE));
	cr_expect(eq(int, tutti_barrier(pair.comm[1], NULL, NULL), TUTTI_ERR_TIMEOUT));
	cr_expect(eq(int, tutti_barrier(pair.comm[1], NULL, NULL), TUTTI_ERR_STATE));
	pair_destroy(&pair);
}

/* ---- no effect ------------------------------------------------------------------------------------------------------ */

static void
wrong_then_right_side(struct pair *pair, int rank)
{
	int32_t one = 1;

	if (rank == 0)
		for (int i = 0; i < 3; i++)
			(void)tutti_all_reduce(pair->comm[0], &one, NULL, 1, TUTTI_INT32, TUTTI_SUM, NULL, NULL);
	sum_side(pair, rank);
}

Test(api, a_refused_call_takes_no_turn, TIMED)
{
	struct pair pair;

	pair_create(&pair);
	both(&pair, wrong_then_right_side);
	cr_expect(eq(int, pair.status[0], TUTTI_OK), "%s", pair.error[0].message);
	cr_expect(eq(int, pair.status[1], TUTTI_OK), "%s", pair.error[1].message);
	pair_destroy(&pair);
}

static void
count_zero_side(struct pair *pair, int rank)
{
	/* Takes a turn on both, synchronises nothing. */
	pair->status[rank] = tutti_broadcast(pair->comm[rank], NULL, NULL, 0, TUTTI_INT32, 1, NULL, NULL);
	if (pair->status[rank] == TUTTI_OK)
		sum_side(pair, rank);
}

Test(api, count_zero_is_an_operation, TIMED)
{
	struct pair pair;

	pair_create(&pair);
	both(&pair, count_zero_side);
	cr_expect(eq(int, pair.status[0], TUTTI_OK), "%s", pair.error[0].message);
	cr_expect(eq(int, pair.status[1], TUTTI_OK), "%s", pair.error[1].message);
	pair_destroy(&pair);
}

static void
own_error_side(struct pair *pair, int rank)
{
	if (rank == 1)
		(void)tutti_barrier(NULL, NULL, NULL);
}

Test(api, the_last_error_is_the_threads_own, TIMED)
{
	struct pair pair;

	pair_create(&pair);
	both(&pair, own_error_side);
	cr_expect(eq(int, pair.error[0].status, TUTTI_OK));
	cr_expect(eq(int, pair.error[1].status, TUTTI_ERR_ARGUMENT));
	pair_destroy(&pair);
}

/* ---- one rank alone ------------------------------------------------------------------------------------------------- */

Test(api, one_rank_alone_can_do_everything, TIMED)
{
	const size_t counts[1] = {3}, offsets[1] = {1};
	const float send[3] = {1, -2, 3};
	tutti_comm *comm = alone();
	float recv[4];

	cr_expect(eq(int, tutti_comm_rank(comm), 0));
	cr_expect(eq(int, tutti_comm_size(comm), 1));
	cr_expect(eq(int, tutti_comm_node_rank(comm), 0));
	cr_expect(eq(int, tutti_comm_node_size(comm), 1));
#define GIVES(at, call) \
	do { \
		memset(recv, 0, sizeof(recv)); \
		cr_expect(eq(int, call, TUTTI_OK), "%s", last_message()); \
		cr_expect(eq(int, memcmp(recv + (at), send, sizeof(send)), 0), #call); \
	} while (0)
	GIVES(0, tutti_all_reduce(comm, send, recv, 3, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL));
	GIVES(0, tutti_all_reduce(comm, send, recv, 3, TUTTI_FLOAT32, TUTTI_AVG, NULL, NULL));
	GIVES(0, tutti_reduce(comm, send, recv, 3, TUTTI_FLOAT32, TUTTI_MIN, 0, NULL, NULL));
	GIVES(0, tutti_reduce_scatter(comm, send, recv, 3, TUTTI_FLOAT32, TUTTI_PROD, NULL, NULL));
	GIVES(0, tutti_all_gather(comm, send, recv, 3, TUTTI_FLOAT32, NULL, NULL));
	GIVES(0, tutti_broadcast(comm, send, recv, 3, TUTTI_FLOAT32, 0, NULL, NULL));
	GIVES(0, tutti_scatter(comm, send, recv, 3, TUTTI_FLOAT32, 0, NULL, NULL));
	GIVES(0, tutti_gather(comm, send, recv, 3, TUTTI_FLOAT32, 0, NULL, NULL));
	GIVES(0, tutti_all_to_all(comm, send, recv, 3, TUTTI_FLOAT32, NULL, NULL));
	GIVES(1, tutti_all_gatherv(comm, send, 3, recv, counts, offsets, TUTTI_FLOAT32, NULL, NULL));
	GIVES(0, tutti_reduce_scatterv(comm, send, recv, counts, TUTTI_FLOAT32, TUTTI_MAX, NULL, NULL));
	GIVES(0, tutti_scatterv(comm, send, counts, NULL, recv, 3, TUTTI_FLOAT32, 0, NULL, NULL));
	GIVES(1, tutti_gatherv(comm, send, 3, recv, counts, offsets, TUTTI_FLOAT32, 0, NULL, NULL));
	GIVES(1, tutti_all_to_allv(comm, send, counts, NULL, recv, counts, offsets, TUTTI_FLOAT32, NULL, NULL));
#undef GIVES
	cr_expect(eq(int, tutti_barrier(comm, NULL, NULL), TUTTI_OK));
	tutti_comm_destroy(comm);
}

Test(api, an_aborted_communicator_says_so_once_and_keeps_the_cause, TIMED)
{
	tutti_comm *comm = alone();
	tutti_error error = TUTTI_ERROR_INIT;

	cr_expect(eq(int, tutti_comm_abort(comm), TUTTI_OK));
	cr_expect(eq(int, tutti_comm_abort(comm), TUTTI_OK));
	cr_expect(eq(int, tutti_barrier(comm, NULL, NULL), TUTTI_ERR_ABORTED));
	cr_expect(eq(int, tutti_barrier(comm, NULL, NULL), TUTTI_ERR_STATE));
	cr_expect(eq(int, tutti_comm_error(comm, &error), TUTTI_ERR_ABORTED));
	cr_expect(eq(int, error.status, TUTTI_ERR_ABORTED));
	cr_expect(eq(int, tutti_comm_destroy(comm), TUTTI_OK));
}

/* ---- explain -------------------------------------------------------------------------------------------------------- */

Test(api, explain_says_how_much_room_it_needs, TIMED)
{
	tutti_comm *comm = alone();

	for (int json = 0; json <= 1; json++) {
		size_t need = 0, length = 0;
		char *report;

		cr_expect(eq(int, tutti_explain(comm, "all_reduce", 4096, json, NULL, 0, &need), TUTTI_ERR_ARGUMENT));
		cr_assert(gt(sz, need, 0));
		report = malloc(need + 1);
		cr_assert(report != NULL);
		cr_expect(eq(
		    int, tutti_explain(comm, "all_reduce", 4096, json, report, need, &length), TUTTI_ERR_ARGUMENT));
		cr_expect(eq(sz, length, need));
		cr_expect(eq(int, tutti_explain(comm, "all_reduce", 4096, json, report, need + 1, NULL), TUTTI_OK));
		cr_expect(eq(sz, strlen(report), need));
		cr_expect(strstr(report, "ring") != NULL);
		free(report);
	}
	is_usable(comm);
	tutti_comm_destroy(comm);
}

Test(api, explain_knows_every_collective_and_no_other, TIMED)
{
	static const char *const names[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce",
	    "scatter", "gather", "all_to_all", "barrier"};
	tutti_comm *comm = alone();
	char report[8192];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cr_expect(eq(int, tutti_explain(comm, names[i], 64, 1, report, sizeof(report), NULL), TUTTI_OK), "%s",
		    last_message());
		cr_expect(strstr(report, "\"chosen\": \"") != NULL);
	}
	refuses(comm, tutti_explain(comm, "all_reduced", 64, 1, report, sizeof(report), NULL), TUTTI_ERR_ARGUMENT,
	    "all_reduced");
	refuses(comm, tutti_explain(comm, NULL, 64, 1, report, sizeof(report), NULL), TUTTI_ERR_ARGUMENT, "name");
	refuses(comm, tutti_explain(comm, "barrier", 64, 1, NULL, 10, NULL), TUTTI_ERR_ARGUMENT, "room");
	tutti_comm_destroy(comm);
}

/* ---- odds and ends -------------------------------------------------------------------------------------------------- */

Test(api, every_status_and_type_has_a_name_or_a_size)
{
	static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8, 1, 1, 1};
	int major = -1, minor = -1, patch = -1;

	for (int s = TUTTI_OK; s <= TUTTI_ERR_INTERNAL; s++)
		cr_expect(eq(int, strncmp(tutti_status_string((tutti_status)s), "TUTTI_", 6), 0));
	cr_expect(eq(str, (char *)tutti_status_string(TUTTI_ERR_PEER), "TUTTI_ERR_PEER"));
	cr_expect(tutti_status_string((tutti_status)12345) != NULL);
	for (int d = TUTTI_INT8; d <= TUTTI_BOOL; d++)
		cr_expect(eq(sz, tutti_dtype_size((tutti_dtype)d), sizes[d]));
	cr_expect(eq(sz, tutti_dtype_size((tutti_dtype)99), 0));
	tutti_version(&major, &minor, &patch);
	cr_expect(eq(int, major, TUTTI_VERSION_MAJOR));
	cr_expect(eq(int, minor, TUTTI_VERSION_MINOR));
	cr_expect(eq(int, patch, TUTTI_VERSION_PATCH));
	tutti_version(NULL, NULL, NULL);
}
