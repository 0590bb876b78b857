/* SPDX-License-Identifier: Apache-2.0
 *
 * test_failure.c - verdicts in virtual time: ranks, messages with delays, deaths; no process, no clock, no thread.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "comm/failure.h"

#define MOST 8
#define QUEUE 4096

struct letter {
	int64_t at_ns;
	int from, to;
	size_t n;
	unsigned char bytes[1024];
};

struct town;
struct place {
	struct town *town;
	int rank;
	struct tt_failure *failure;
	bool alive, deaf; /* deaf: stopped, answers nothing */
	int64_t alarm_ns;
	int woken;
};

struct town {
	int n;
	int64_t now_ns;
	unsigned seed;
	struct place place[MOST];
	struct letter *queue;
	int queued;
};

static void
post(void *context, int to, const void *bytes, size_t n)
{
	struct place *from = context;
	struct town *town = from->town;

	for (int r = 0; r < town->n; r++) {
		struct letter *letter = &town->queue[town->queued];

		if (r == from->rank || (to >= 0 && r != to))
			continue;
		cr_assert(lt(int, town->queued, QUEUE));
		*letter = (struct letter){.at_ns = town->now_ns + 50000 + rand_r(&town->seed) % 400000,
		    .from = from->rank,
		    .to = r,
		    .n = n};
		memcpy(letter->bytes, bytes, n);
		town->queued++;
	}
}

static void
set_alarm(void *context, int64_t when_ns)
{
	struct place *place = context;

	if (when_ns < place->alarm_ns)
		place->alarm_ns = when_ns;
}

static void
wake(void *context)
{
	((struct place *)context)->woken++;
}

static void
town_open(struct town *town, int n, unsigned seed)
{
	const struct tt_log log = TT_LOG_NONE;

	*town = (struct town){.n = n, .seed = seed, .now_ns = 1000 * TT_MS};
	town->queue = calloc(QUEUE, sizeof(*town->queue));
	for (int r = 0; r < n; r++) {
		struct place *place = &town->place[r];
		const struct tt_failure_ways ways = {place, post, set_alarm, wake};

		*place = (struct place){.town = town, .rank = r, .alive = true, .alarm_ns = TT_FOREVER};
		cr_assert(eq(int, tt_failure_create(r, n, &ways, &log, &place->failure), TUTTI_OK));
	}
}

static void
town_close(struct town *town)
{
	for (int r = 0; r < town->n; r++)
		tt_failure_destroy(town->place[r].failure);
	free(town->queue);
}

/* Delivers what is due, in order of time (letters of one pair keep their order because of the stable choice). */
static void
town_live(struct town *town, int64_t for_ns)
{
	const int64_t until = town->now_ns + for_ns;

	while (town->now_ns < until) {
		town->now_ns += 20000;
		for (int i = 0; i < town->queued; i++) {
			struct letter letter = town->queue[i];
			struct place *to = &town->place[letter.to];
			bool earlier = false;

			for (int k = 0; k < i; k++)
				earlier =
				    earlier || (town->queue[k].from == letter.from && town->queue[k].to == letter.to);
			if (letter.at_ns > town->now_ns || earlier)
				continue;
			memmove(&town->queue[i], &town->queue[i + 1], (size_t)(--town->queued - i) * sizeof(letter));
			i--;
			if (to->alive && !to->deaf)
				tt_failure_message(to->failure, letter.from, letter.bytes, letter.n, town->now_ns);
		}
		for (int r = 0; r < town->n; r++) {
			struct place *place = &town->place[r];

			if (!place->alive || place->deaf || place->alarm_ns > town->now_ns)
				continue;
			place->alarm_ns = TT_FOREVER;
			tt_failure_alarm(place->failure, town->now_ns);
		}
	}
}

static struct tt_call
call(uint64_t sequence, uint64_t count)
{
	return (struct tt_call){.sequence = sequence,
	    .count = count,
	    .collective = TT_ALL_REDUCE,
	    .dtype = TUTTI_FLOAT32,
	    .algorithm = 1};
}

static void
calls(struct town *town, int rank, uint64_t sequence, uint64_t count)
{
	const struct tt_call c = call(sequence, count);

	tt_failure_called(town->place[rank].failure, &c);
	tt_failure_driven(town->place[rank].failure, town->now_ns);
}

static void
expect_all(struct town *town, tutti_status status, int rank, int nranks)
{
	for (int r = 0; r < town->n; r++) {
		tutti_error cause = TUTTI_ERROR_INIT;

		if (!town->place[r].alive || town->place[r].deaf)
			continue;
		tt_failure_cause(town->place[r].failure, &cause);
		cr_expect(cause.status == status && cause.rank == rank && cause.nranks == nranks,
		    "rank %d: %s, rank %d, %d ranks: %s", r, tutti_status_string(cause.status), cause.rank,
		    cause.nranks, cause.message);
		cr_expect(eq(int, town->place[r].woken, status == TUTTI_OK ? 0 : 1));
	}
}

static void
report(struct town *town, int reporter, enum tt_report_kind kind, int accused, uint64_t sequence)
{
	tt_failure_report(
	    town->place[reporter].failure, kind, accused, sequence, "something was noticed", town->now_ns);
}

Test(failure, a_death_is_told_to_every_rank, .timeout = 10)
{
	struct town town;

	town_open(&town, 5, 1);
	town.place[3].alive = false;
	report(&town, 1, TT_REPORT_DEATH, 3, 0);
	town_live(&town, 20 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 3, 1);
	town_close(&town);
}

Test(failure, the_judges_death_is_judged_by_everyone, .timeout = 10)
{
	struct town town;

	town_open(&town, 4, 2);
	town.place[0].alive = false;
	for (int r = 1; r < 4; r++)
		tt_failure_lost(town.place[r].failure, 0, "its connection ended", town.now_ns);
	town_live(&town, 60 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 0, 1);
	town_close(&town);
}

Test(failure, the_judges_last_words_count_however_often_its_death_is_noticed, .timeout = 10)
{
	struct town town;

	/* Rank 2 dies; the judge says so and leaves at once, and rank 1 notices that before it has read the news. */
	town_open(&town, 4, 6);
	town.place[2].alive = false;
	report(&town, 0, TT_REPORT_DEATH, 2, 0);
	town.place[0].alive = false;
	report(&town, 3, TT_REPORT_DEATH, 0, 0);
	for (int i = 0; i < town.queued; i++)
		town.queue[i].at_ns += 100 * TT_MS;
	for (int k = 0; k < 20; k++) {
		report(&town, 1, TT_REPORT_DEATH, 0, 0);
		town_live(&town, 2 * TT_MS);
	}
	expect_all(&town, TUTTI_OK, -1, 0);
	town_live(&town, 100 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 2, 1);
	town_close(&town);
}

Test(failure, a_death_counts_for_more_than_what_may_be_its_echo, .timeout = 10)
{
	struct town town;

	/* Nobody hears rank 3, whose way to the judge led over rank 2, which died. */
	town_open(&town, 4, 7);
	town.place[2].alive = false;
	for (int r = 0; r < 2; r++)
		town.place[r].alive = false;
	report(&town, 3, TT_REPORT_LINK, 1, 0);
	report(&town, 3, TT_REPORT_DEATH, 2, 0);
	town_live(&town, 2000 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 2, 1);
	town_close(&town);
}

Test(failure, a_mismatch_names_the_minority, .timeout = 10)
{
	struct town town;

	town_open(&town, 5, 3);
	for (int r = 0; r < 5; r++)
		calls(&town, r, 7, r == 0 || r == 4 ? 20 : 10);
	report(&town, 2, TT_REPORT_MISMATCH, 0, 7);
	town_live(&town, 50 * TT_MS);
	expect_all(&town, TUTTI_ERR_MISMATCH, 0, 2);
	town_close(&town);
}

Test(failure, a_tie_goes_to_the_lowest_ranks_call, .timeout = 10)
{
	struct town town;

	town_open(&town, 2, 4);
	calls(&town, 0, 1, 10);
	calls(&town, 1, 1, 20);
	report(&town, 0, TT_REPORT_MISMATCH, 1, 1);
	report(&town, 1, TT_REPORT_MISMATCH, 0, 1);
	town_live(&town, 50 * TT_MS);
	expect_all(&town, TUTTI_ERR_MISMATCH, 1, 1);
	town_close(&town);
}

Test(failure, a_mismatch_waits_for_those_who_have_not_called_yet, .timeout = 10)
{
	struct town town;

	town_open(&town, 3, 5);
	calls(&town, 0, 1, 10);
	calls(&town, 1, 1, 20);
	report(&town, 0, TT_REPORT_MISMATCH, 1, 1);
	town_live(&town, 100 * TT_MS);
	expect_all(&town, TUTTI_OK, -1, 0);
	calls(&town, 2, 1, 20);
	town_live(&town, 100 * TT_MS);
	expect_all(&town, TUTTI_ERR_MISMATCH, 0, 1);
	town_close(&town);
}

Test(failure, a_timeout_names_those_who_have_not_called, .timeout = 10)
{
	struct town town;

	town_open(&town, 4, 6);
	calls(&town, 0, 1, 10);
	calls(&town, 2, 1, 10);
	report(&town, 2, TT_REPORT_TIMEOUT, -1, 1);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_TIMEOUT, 1, 2);
	town_close(&town);
}

/* Rank 2 is stopped before operation 9; rank 1 waits for it there, rank 0 needed nobody in 9 and waits in 10. */
Test(failure, a_timeout_does_not_name_a_rank_that_waits_in_an_earlier_operation, .timeout = 10)
{
	struct town town;

	town_open(&town, 3, 12);
	for (int r = 0; r < 3; r++) {
		calls(&town, r, 8, 4);
		tt_failure_finished(town.place[r].failure, 8);
	}
	calls(&town, 0, 9, 4);
	calls(&town, 1, 9, 4);
	tt_failure_finished(town.place[0].failure, 9);
	calls(&town, 0, 10, 4);
	town.place[2].deaf = true;
	report(&town, 0, TT_REPORT_TIMEOUT, -1, 10);
	for (int i = 0; i < 20; i++) {
		tt_failure_driven(town.place[0].failure, town.now_ns);
		tt_failure_driven(town.place[1].failure, town.now_ns);
		town_live(&town, 100 * TT_MS);
	}
	expect_all(&town, TUTTI_ERR_TIMEOUT, 2, 1);
	town_close(&town);
}

Test(failure, a_timeout_names_the_stopped_process, .timeout = 10)
{
	struct town town;

	town_open(&town, 3, 7);
	for (int r = 0; r < 3; r++)
		calls(&town, r, 1, 10);
	town.place[2].deaf = true;
	report(&town, 1, TT_REPORT_TIMEOUT, -1, 1);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_TIMEOUT, 2, 1);
	town_close(&town);
}

Test(failure, a_timeout_names_who_does_not_advance_its_part, .timeout = 10)
{
	struct town town;

	town_open(&town, 3, 8);
	for (int r = 0; r < 3; r++)
		calls(&town, r, 1, 10);
	town_live(&town, 1000 * TT_MS);
	tt_failure_driven(town.place[0].failure, town.now_ns);
	tt_failure_driven(town.place[1].failure, town.now_ns);
	report(&town, 1, TT_REPORT_TIMEOUT, -1, 1);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_TIMEOUT, 2, 1);
	town_close(&town);
}

Test(failure, a_stall_without_a_mismatch_is_no_error, .timeout = 10)
{
	struct town town;

	town_open(&town, 3, 9);
	calls(&town, 0, 1, 10);
	calls(&town, 1, 1, 10);
	report(&town, 1, TT_REPORT_STALL, -1, 1);
	town_live(&town, 2000 * TT_MS);
	expect_all(&town, TUTTI_OK, -1, 0);
	town_close(&town);
}

Test(failure, a_stall_finds_a_mismatch_in_which_no_messages_meet, .timeout = 10)
{
	struct town town;

	town_open(&town, 2, 10);
	calls(&town, 0, 1, 10);
	calls(&town, 1, 1, 11);
	report(&town, 1, TT_REPORT_STALL, -1, 1);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_MISMATCH, 1, 1);
	town_close(&town);
}

Test(failure, a_dead_link_may_be_the_echo_of_an_abort, .timeout = 10)
{
	struct town town;

	town_open(&town, 4, 11);
	report(&town, 1, TT_REPORT_LINK, 2, 0);
	report(&town, 2, TT_REPORT_ABORT, 2, 0);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_ABORTED, 2, 1);
	town_close(&town);
}

Test(failure, a_dead_link_to_a_survivor_does_not_hide_who_died, .timeout = 10)
{
	struct town town;

	town_open(&town, 4, 15);
	town.place[1].alive = false;
	report(&town, 2, TT_REPORT_LINK, 3, 0);
	town_live(&town, 700 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 1, 1);
	town_close(&town);
}

Test(failure, a_dead_link_between_living_ranks_accuses_the_other_end, .timeout = 10)
{
	struct town town;

	town_open(&town, 4, 16);
	report(&town, 2, TT_REPORT_LINK, 3, 0);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 3, 1);
	town_close(&town);
}

Test(failure, without_an_answer_a_rank_judges_by_itself, .timeout = 10)
{
	struct town town;

	town_open(&town, 3, 12);
	town.place[0].deaf = true;
	report(&town, 2, TT_REPORT_LINK, 1, 0);
	town_live(&town, 3000 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 1, 1);
	town_close(&town);
}

Test(failure, who_knows_of_a_death_judges_before_who_suspects, .timeout = 10)
{
	struct town town;

	town_open(&town, 4, 17);
	town.place[0].deaf = true;
	town.place[3].alive = false;
	report(&town, 2, TT_REPORT_LINK, 1, 0);
	town_live(&town, 500 * TT_MS);
	report(&town, 1, TT_REPORT_DEATH, 3, 0);
	town_live(&town, 3000 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 3, 1);
	town_close(&town);
}

Test(failure, who_says_that_it_gives_up_is_not_blamed, .timeout = 10)
{
	struct town town;

	town_open(&town, 4, 18);
	town.place[3].alive = false;
	report(&town, 2, TT_REPORT_LINK, -1, 0);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 3, 1);
	town_close(&town);
	town_open(&town, 4, 19);
	report(&town, 2, TT_REPORT_LINK, -1, 0);
	town_live(&town, 400 * TT_MS);
	expect_all(&town, TUTTI_OK, -1, 0);
	report(&town, 1, TT_REPORT_LINK, 3, 0);
	town_live(&town, 1000 * TT_MS);
	expect_all(&town, TUTTI_ERR_PEER, 3, 1);
	town_close(&town);
}

Test(failure, whoever_left_before_the_operation_deserted_it, .timeout = 10)
{
	struct town town;

	town_open(&town, 3, 13);
	calls(&town, 1, 4, 10);
	tt_failure_leave(town.place[1].failure, false);
	town_live(&town, 10 * TT_MS);
	cr_expect(eq(int, tt_failure_deserter(town.place[0].failure, 4), -1));
	cr_expect(eq(int, tt_failure_deserter(town.place[0].failure, 5), 1));
	town_close(&town);
}

Test(failure, garbage_is_ignored, .timeout = 10)
{
	struct town town;
	unsigned char bytes[1024];
	unsigned seed = 14;

	town_open(&town, 3, 14);
	for (int round = 0; round < 20000; round++) {
		const size_t n = (size_t)rand_r(&seed) % sizeof(bytes);

		for (size_t i = 0; i < n; i++)
			bytes[i] = (unsigned char)rand_r(&seed);
		tt_failure_message(town.place[0].failure, rand_r(&seed) % 8 - 2, bytes, n, town.now_ns);
	}
	expect_all(&town, TUTTI_OK, -1, 0);
	town_close(&town);
}

/* Many causes at once: one verdict, on every rank. */
Test(failure, one_verdict_whatever_is_reported_at_once, .timeout = 30)
{
	for (unsigned seed = 1; seed <= 300; seed++) {
		struct town town;
		tutti_error first = TUTTI_ERROR_INIT;
		unsigned random = seed;
		const int n = 2 + (int)(seed % (MOST - 1));
		int dead = -1;

		town_open(&town, n, seed);
		for (int r = 0; r < n; r++)
			calls(&town, r, 1, rand_r(&random) % 4 == 0 ? 11 : 10);
		if (rand_r(&random) % 2 == 0) {
			dead = 1 + rand_r(&random) % (n - 1);
			town.place[dead].alive = false;
		}
		for (int i = 0; i < 4; i++) {
			const int reporter = rand_r(&random) % n;
			const int kinds[] = {TT_REPORT_LINK, TT_REPORT_MISMATCH, TT_REPORT_TIMEOUT, TT_REPORT_ABORT};

			if (reporter == dead)
				continue;
			if (dead >= 0 && rand_r(&random) % 2 == 0)
				report(&town, reporter, TT_REPORT_DEATH, dead, 0);
			else
				report(&town, reporter, (enum tt_report_kind)kinds[rand_r(&random) % 4],
				    rand_r(&random) % n, 1);
			town_live(&town, (rand_r(&random) % 3) * TT_MS / 2);
		}
		for (int r = 0; r < n; r++)
			if (town.place[r].alive)
				report(&town, r, TT_REPORT_ABORT, r, 0);
		town_live(&town, 2500 * TT_MS);
		tt_failure_cause(town.place[0].failure, &first);
		cr_expect(ne(int, first.status, TUTTI_OK));
		for (int r = 0; r < n; r++) {
			tutti_error cause = TUTTI_ERROR_INIT;

			if (!town.place[r].alive)
				continue;
			tt_failure_cause(town.place[r].failure, &cause);
			cr_expect(cause.status == first.status && cause.rank == first.rank,
			    "seed %u: rank 0 says %s, rank %d %s", seed, first.message, r, cause.message);
		}
		town_close(&town);
	}
}
