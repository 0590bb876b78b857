/* SPDX-License-Identifier: Apache-2.0
 *
 * store_meet.c - a meeting over the caller's key-value store: rank 0 sets one key, the others wait for it.
 *
 * The store is the caller's code: what it returns is checked, and its errors come out with a sentence of ours.
 */
#include "bootstrap/identity.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"

static const char key[] = "tutti/id";

/* A callback may return any number; IN_PROGRESS from a get that should have waited means that it gave up. */
static tutti_status
store_failed(tutti_status status, const char *what)
{
	if (status == TUTTI_IN_PROGRESS || status == TUTTI_ERR_TIMEOUT)
		return tt_fail(TUTTI_ERR_TIMEOUT, strcmp(what, "get") == 0 ? 0 : -1,
		    "the store's %s of \"%s\" ran out of time: rank 0 has to create the communicator on the same "
		    "store "
		    "and key space",
		    what, key);
	if ((int)status < 0 || (int)status > TUTTI_ERR_INTERNAL)
		return tt_fail(TUTTI_ERR_INTERNAL, -1,
		    "the store's %s of \"%s\" returned %d, which is not a tutti_status", what, key, (int)status);
	return tt_fail(status, -1, "the store's %s of \"%s\" failed with tutti_status %d", what, key, (int)status);
}

/* For the callback: -1 = none. */
static int64_t
time_left_ms(int64_t deadline_ns)
{
	int64_t left;

	if (deadline_ns == TT_FOREVER)
		return -1;
	left = (deadline_ns - tt_now_ns() + TT_MS - 1) / TT_MS;
	return left > 0 ? left : 0;
}

static tutti_status
store_exchange(void *context, int rank, tutti_unique_id *id, int64_t deadline_ns)
{
	const tutti_store *store = context;
	size_t bytes = sizeof(id->bytes);
	tutti_status status;

	if (rank == 0) {
		status = store->set(store->context, key, id->bytes, sizeof(id->bytes));
		return status == TUTTI_OK ? TUTTI_OK : store_failed(status, "set");
	}
	status = store->get(store->context, key, id->bytes, &bytes, time_left_ms(deadline_ns));
	if (status != TUTTI_OK)
		return store_failed(status, "get");
	if (bytes != sizeof(id->bytes))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the store's get of \"%s\" gave %zu bytes where rank 0 had set %zu: is something else using the "
		    "key?",
		    key, bytes, sizeof(id->bytes));
	return TUTTI_OK;
}

tutti_status
tt_store_meet(int rank, const tutti_store *store, const struct tt_settings *settings, int64_t deadline_ns,
    struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	tutti_store mine = TUTTI_STORE_INIT;

	if (store == NULL || store->size < sizeof(mine) || store->set == NULL || store->get == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "the store needs both callbacks and a size: start from TUTTI_STORE_INIT, then fill in set and "
		    "get");
	mine = *store;
	return tt_exchange_meet(rank, store_exchange, &mine, settings, deadline_ns, rendezvous, meeting);
}
