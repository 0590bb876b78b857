/* SPDX-License-Identifier: Apache-2.0
 *
 * test_error.c - the record of the latest failure.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"

Test(error, a_thread_that_never_failed_has_an_empty_record)
{
	const tutti_error *error = tt_last_error();

	cr_assert(eq(int, error->status, TUTTI_OK));
	cr_assert(eq(int, error->rank, -1));
	cr_assert(eq(sz, error->size, sizeof(tutti_error)));
	cr_assert(error->message[0] == '\0');
}

Test(error, fail_keeps_status_rank_and_sentence)
{
	cr_assert(eq(int, tt_fail(TUTTI_ERR_PEER, 3, "rank %d left", 3), TUTTI_ERR_PEER));
	cr_assert(eq(int, tt_last_error()->status, TUTTI_ERR_PEER));
	cr_assert(eq(int, tt_last_error()->rank, 3));
	cr_assert(eq(int, tt_last_error()->nranks, 1));
	cr_assert(eq(int, tt_last_error()->ranks[0], 3));
	cr_assert(strcmp(tt_last_error()->message, "rank 3 left") == 0);
	tt_fail(TUTTI_ERR_TIMEOUT, -1, "late");
	cr_assert(eq(int, tt_last_error()->rank, -1));
	cr_assert(eq(int, tt_last_error()->nranks, 0));
}

Test(error, a_message_may_quote_the_one_it_replaces)
{
	tt_fail(TUTTI_ERR_PEER, -1, "the cable is out");
	tt_fail(TUTTI_ERR_PEER, -1, "joining failed: %s", tt_last_error()->message);
	cr_assert(strcmp(tt_last_error()->message, "joining failed: the cable is out") == 0);
}

Test(error, a_long_message_is_cut_and_still_ends)
{
	char text[2000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tt_fail(TUTTI_ERR_INTERNAL, -1, "%s", text);
	cr_assert(eq(sz, strlen(tt_last_error()->message), sizeof(tt_last_error()->message) - 1));
}

Test(error, a_failed_call_keeps_errno_and_names_its_reason)
{
	errno = ENOENT;
	cr_assert(eq(int, tt_fail_errno("cannot open %s", "it"), TUTTI_ERR_SYSTEM));
	cr_assert(eq(int, errno, ENOENT));
	cr_assert(strcmp(tt_last_error()->message, "cannot open it: No such file or directory") == 0);
	errno = ENOMEM;
	cr_assert(eq(int, tt_fail_errno("cannot map it"), TUTTI_ERR_NOMEM));
}

static void *
fail_elsewhere(void *seen)
{
	tt_fail(TUTTI_ERR_ABORTED, 9, "elsewhere");
	*(const tutti_error **)seen = tt_last_error();
	return NULL;
}

Test(error, a_record_belongs_to_its_thread)
{
	const tutti_error *theirs = NULL;
	pthread_t thread;

	tt_fail(TUTTI_ERR_PEER, 1, "here");
	cr_assert(eq(int, pthread_create(&thread, NULL, fail_elsewhere, &theirs), 0));
	pthread_join(thread, NULL);
	cr_assert(theirs != tt_last_error());
	cr_assert(strcmp(tt_last_error()->message, "here") == 0);
}

Test(error, more_ranks_than_fit_are_counted)
{
	int ranks[20];
	tutti_error error;

	for (int i = 0; i < 20; i++)
		ranks[i] = 100 + i;
	tt_error_fill(&error, TUTTI_ERR_TIMEOUT, ranks, 20, 42, "%d ranks are late", 20);
	cr_assert(eq(int, error.rank, 100));
	cr_assert(eq(int, error.nranks, 20));
	cr_assert(eq(int, error.ranks[15], 115));
	cr_assert(eq(u64, error.sequence, 42));
	tt_error_fill(&error, TUTTI_ERR_TIMEOUT, NULL, 0, 0, "nobody is late");
	cr_assert(eq(int, error.rank, -1));
	cr_assert(eq(int, tt_fail_with(&error), TUTTI_ERR_TIMEOUT));
	cr_assert(strcmp(tt_last_error()->message, "nobody is late") == 0);
}

Test(error, copy_writes_no_more_than_the_caller_has)
{
	tutti_error error = TUTTI_ERROR_INIT;
	char guard = 'g';

	tt_fail(TUTTI_ERR_PEER, 5, "a sentence of some length");
	error.size = offsetof(tutti_error, message) + 11;
	memset(error.message, guard, sizeof(error.message));
	cr_assert(eq(int, tt_error_copy(&error, tt_last_error()), TUTTI_OK));
	cr_assert(eq(sz, error.size, offsetof(tutti_error, message) + 11));
	cr_assert(eq(int, error.rank, 5));
	cr_assert(strcmp(error.message, "a sentence") == 0);
	cr_assert(eq(chr, error.message[11], guard));
}

Test(error, copy_into_a_newer_and_larger_record_keeps_its_size)
{
	struct {
		tutti_error error;
		char later[64];
	} newer = {.error = TUTTI_ERROR_INIT, .later = "untouched"};

	newer.error.size = sizeof(newer);
	tt_fail(TUTTI_ERR_PEER, 5, "short");
	cr_assert(eq(int, tt_error_copy(&newer.error, tt_last_error()), TUTTI_OK));
	cr_assert(eq(sz, newer.error.size, sizeof(newer)));
	cr_assert(strcmp(newer.error.message, "short") == 0);
	cr_assert(strcmp(newer.later, "untouched") == 0);
}

Test(error, copy_into_a_record_without_size_is_an_error)
{
	tutti_error error;

	memset(&error, 0, sizeof(error));
	cr_assert(eq(int, tt_error_copy(&error, tt_last_error()), TUTTI_ERR_ARGUMENT));
	error.size = sizeof(size_t);
	cr_assert(eq(int, tt_error_copy(&error, tt_last_error()), TUTTI_ERR_ARGUMENT));
}
