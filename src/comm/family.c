/* SPDX-License-Identifier: Apache-2.0
 *
 * family.c - see family.h.
 */
#include "comm/family.h"

#include <pthread.h>

#include "base/memory.h"
#include "comm/comm.h"

struct tt_family {
	pthread_mutex_t lock;
	tutti_comm *first;
	tt_atomic_u32 busy; /* members with pending operations */
};

tutti_status
tt_family_found(tutti_comm *comm)
{
	tutti_status status = TUTTI_OK;
	void *memory;

	tt_comm_lock(comm);
	if (comm->family == NULL) {
		status = tt_alloc(1, sizeof(struct tt_family), "a family of communicators", &memory);
		if (status == TUTTI_OK) {
			comm->family = memory;
			comm->family->first = comm;
			pthread_mutex_init(&comm->family->lock, NULL);
		}
	}
	tt_comm_unlock(comm);
	return status;
}

void
tt_family_join(const tutti_comm *parent, tutti_comm *child)
{
	struct tt_family *family = parent->family;

	tt_comm_lock(child); /* its progress thread may look */
	child->family = family;
	tt_comm_unlock(child);
	pthread_mutex_lock(&family->lock);
	child->relative = family->first;
	family->first = child;
	pthread_mutex_unlock(&family->lock);
}

void
tt_family_leave(tutti_comm *comm)
{
	struct tt_family *family = comm->family;
	tutti_comm **at;
	bool last;

	if (family == NULL)
		return;
	tt_comm_lock(comm);
	tt_family_note(comm, false);
	comm->family = NULL;
	tt_comm_unlock(comm);
	pthread_mutex_lock(&family->lock);
	at = &family->first;
	while (*at != comm)
		at = &(*at)->relative;
	*at = comm->relative;
	last = family->first == NULL;
	pthread_mutex_unlock(&family->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&family->lock);
	tt_free(family);
}

void
tt_family_note(tutti_comm *comm, bool busy)
{
	if (tt_load_relaxed(&comm->family_busy) == (uint32_t)busy)
		return;
	tt_store_relaxed(&comm->family_busy, busy);
	tt_fetch_add_relaxed(&comm->family->busy, busy ? 1u : (uint32_t)-1);
}

bool
tt_family_busy(const tutti_comm *comm)
{
	return TT_UNLIKELY(comm->family != NULL) &&
	       tt_load_relaxed(&comm->family->busy) > tt_load_relaxed(&comm->family_busy);
}

int
tt_family_advance(tutti_comm *comm, int64_t now_ns)
{
	struct tt_family *family = comm->family;
	int moved = 0;

	if (!tt_family_busy(comm) || pthread_mutex_trylock(&family->lock) != 0)
		return 0;
	for (tutti_comm *other = family->first; other != NULL; other = other->relative) {
		if (other == comm || tt_load_relaxed(&other->family_busy) == 0 || !tt_comm_trylock(other))
			continue;
		moved += tt_comm_advance(other);
		if (now_ns > 0)
			tt_comm_look_around(other, now_ns);
		tt_comm_unlock(other);
	}
	pthread_mutex_unlock(&family->lock);
	return moved;
}
