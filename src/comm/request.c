/* SPDX-License-Identifier: Apache-2.0
 *
 * request.c - tutti_test, tutti_wait, tutti_wait_all.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "comm/comm.h"

/* Of a communicator that is gone: the request owns itself now. */
static tutti_status
finish_orphan(tutti_request *request)
{
	const tutti_error error = request->error;
	const tutti_status status = request->status;

	tt_free(request);
	return status == TUTTI_OK ? TUTTI_OK : tt_fail_with(&error);
}

static tutti_status
forked(const tutti_request *request)
{
	if (request->comm == NULL || request->comm->generation == tt_process_generation())
		return TUTTI_OK;
	return tt_fail(TUTTI_ERR_STATE, -1,
	    "this request belongs to the parent process: a child made by fork cannot "
	    "use it");
}

static tutti_status
finish(tutti_request *request)
{
	tutti_comm *comm = request->comm;
	tutti_status status;

	tt_comm_lock(comm);
	status = tt_comm_finish(comm, request);
	tt_comm_unlock(comm);
	return status;
}

tutti_status
tutti_wait(tutti_request **request)
{
	tutti_request *r;

	if (request == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "tutti_wait needs the address of a request");
	r = *request;
	if (r == NULL)
		return TUTTI_OK;
	TT_TRY(forked(r));
	*request = NULL;
	if (r->comm == NULL)
		return finish_orphan(r);
	tt_comm_wait(r->comm, r);
	return finish(r);
}

tutti_status
tutti_test(tutti_request **request, int *done)
{
	tutti_request *r;
	bool ended;

	if (request == NULL || done == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "tutti_test needs the addresses of a request and of done");
	r = *request;
	if (r == NULL) {
		*done = 1;
		return TUTTI_OK;
	}
	TT_TRY(forked(r));
	if (r->comm != NULL) {
		tt_comm_lock(r->comm);
		if (r->state != TT_REQUEST_ENDED && tt_comm_advance(r->comm) == 0) {
			const int64_t now_ns = tt_now_ns();

			tt_comm_look_around(r->comm, now_ns);
			(void)tt_family_advance(r->comm, now_ns);
		}
		ended = r->state == TT_REQUEST_ENDED;
		tt_comm_unlock(r->comm);
		if (!ended) {
			*done = 0;
			return TUTTI_OK;
		}
	}
	*done = 1;
	*request = NULL;
	return r->comm == NULL ? finish_orphan(r) : finish(r);
}

tutti_status
tutti_wait_all(size_t n, tutti_request *requests[])
{
	tutti_status first = TUTTI_OK;
	tutti_error error = TUTTI_ERROR_INIT;

	if (requests == NULL && n > 0)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "tutti_wait_all needs the requests");
	for (size_t i = 0; i < n; i++) {
		const tutti_status status = tutti_wait(&requests[i]);

		if (status == TUTTI_OK || first != TUTTI_OK)
			continue;
		first = status;
		error = *tt_last_error();
	}
	return first == TUTTI_OK ? TUTTI_OK : tt_fail_with(&error);
}
