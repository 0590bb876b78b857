/* SPDX-License-Identifier: Apache-2.0
 *
 * meeting.c - rank 0's listeners, from the moment the id is made until the communicator takes them.
 *
 * Kept meetings are the one process-wide list of this file: an id is 256 bytes with no room for a pointer, and it
 * may be used by a forked child. While they are kept, the descriptors are not guarded against fork (a child may be
 * the one who claims them); CLOEXEC they are always.
 */
#include "bootstrap/rendezvous.h"

#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "bootstrap/process_lock.h"

struct kept {
	struct kept *next;
	unsigned char epoch[16];
	struct tt_meeting meeting;
	int64_t deadline_ns;
	uint32_t generation; /* of the process that made the id */
};

static struct {
	struct tt_process_lock lock;
	struct kept *first;
} kept_meetings;

static void
meeting_clear(struct tt_meeting *meeting)
{
	memset(meeting, 0, sizeof(*meeting));
	for (int i = 0; i < TT_MEETING_ADDRESSES; i++)
		meeting->tcp[i] = -1;
	meeting->local = -1;
}

void
tt_meeting_close(struct tt_meeting *meeting)
{
	for (int i = 0; i < meeting->ntcp; i++)
		tt_fd_close(meeting->tcp[i]);
	tt_fd_close(meeting->local);
	meeting_clear(meeting);
}

static tutti_status
listen_local(const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	unsigned char name[TT_NAME_BYTES];
	tutti_status status;

	tt_rendezvous_name(rendezvous, "root", 0, name);
	status = tt_listen_unix(name, sizeof(name), &meeting->local);
	if (status == TUTTI_IN_PROGRESS)
		return tt_fail(TUTTI_ERR_MISMATCH, 0,
		    "another process of this host already is rank 0 of this communicator: give every rank its own "
		    "number");
	return status;
}

/* An address that cannot be listened at is left out; it is an error only if none is left. */
static tutti_status
listen_everywhere(const struct tt_settings *settings, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	const int n = rendezvous->naddresses;
	tutti_status status = TUTTI_OK;

	for (int i = 0; i < n; i++) {
		struct tt_address address = rendezvous->addresses[i];

		status = tt_listen_tcp(&address, settings->text[TT_SET_PORT_RANGE], &meeting->tcp[meeting->ntcp]);
		if (status == TUTTI_OK)
			rendezvous->addresses[meeting->ntcp++] = address;
	}
	rendezvous->naddresses = meeting->ntcp;
	return meeting->ntcp > 0 ? TUTTI_OK : status;
}

tutti_status
tt_meeting_open(const struct tt_settings *settings, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	struct tt_rendezvous made = {.authenticated = true};
	struct tt_meeting ears;
	tutti_status status;

	TT_TRY(
	    tt_interfaces(settings->text[TT_SET_INTERFACES], made.addresses, TT_MEETING_ADDRESSES, &made.naddresses));
	tt_random(made.key, sizeof(made.key));
	tt_random(made.epoch, sizeof(made.epoch));
	meeting_clear(&ears);
	status = listen_local(&made, &ears);
	if (status == TUTTI_OK)
		status = listen_everywhere(settings, &made, &ears);
	if (status != TUTTI_OK) {
		tt_meeting_close(&ears);
		return status;
	}
	*rendezvous = made;
	*meeting = ears;
	return TUTTI_OK;
}

/* One address of a given rendezvous, on the first of its ports that is free. */
static tutti_status
listen_at(const struct tt_rendezvous *rendezvous, int which, bool any_interface, int *fd)
{
	tutti_status status = TUTTI_OK;

	for (int i = which; i < tt_rendezvous_count(rendezvous); i += rendezvous->naddresses) {
		struct tt_address address;

		tt_rendezvous_address(rendezvous, i, &address);
		if (any_interface)
			memset(address.ip, 0, sizeof(address.ip));
		status = tt_listen_tcp(&address, NULL, fd);
		if (status == TUTTI_OK)
			break;
	}
	return status;
}

tutti_status
tt_meeting_open_at(const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	struct tt_meeting ears;
	tutti_status status = TUTTI_OK;

	meeting_clear(&ears);
	TT_TRY(listen_local(rendezvous, &ears));
	/* The others may know this host by an address that none of its interfaces has (a load balancer's, a
	 * translated one): then, and only then, it listens on all of them. */
	for (int all = 0; all < 2 && ears.ntcp == 0; all++)
		for (int i = 0; i < rendezvous->naddresses; i++) {
			status = listen_at(rendezvous, i, all != 0, &ears.tcp[ears.ntcp]);
			ears.ntcp += status == TUTTI_OK;
		}
	if (ears.ntcp == 0 && rendezvous->naddresses > 0) {
		tt_meeting_close(&ears);
		return status;
	}
	*meeting = ears;
	return TUTTI_OK;
}

/* ---- kept meetings --------------------------------------------------------------------------------------- */

/* The list is taken out of its chain entry by entry with single stores: see process_lock.h. */
static struct kept *
unlink_first(bool (*wanted)(const struct kept *kept, const void *context), const void *context)
{
	struct kept **at, *found;

	tt_process_lock(&kept_meetings.lock);
	for (at = &kept_meetings.first; *at != NULL && !wanted(*at, context);)
		at = &(*at)->next;
	found = *at;
	if (found != NULL)
		*at = found->next;
	tt_process_unlock(&kept_meetings.lock);
	return found;
}

static bool
has_expired(const struct kept *kept, const void *now_ns)
{
	return kept->deadline_ns <= *(const int64_t *)now_ns;
}

static bool
has_epoch(const struct kept *kept, const void *epoch)
{
	return memcmp(kept->epoch, epoch, sizeof(kept->epoch)) == 0;
}

static bool
is_inherited(const struct kept *kept, const void *epoch)
{
	return has_epoch(kept, epoch) && kept->generation != tt_process_generation();
}

static void
close_expired(void)
{
	const int64_t now_ns = tt_now_ns();
	struct kept *kept;

	while ((kept = unlink_first(has_expired, &now_ns)) != NULL) {
		tt_meeting_close(&kept->meeting);
		tt_free(kept);
	}
}

/* Descriptors that forked children inherit, of the same listeners. */
static tutti_status
copy_unguarded(const struct tt_meeting *meeting, struct tt_meeting *copy)
{
	copy->local = fcntl(meeting->local, F_DUPFD_CLOEXEC, 0);
	if (copy->local < 0)
		return tt_fail_errno("cannot keep the listeners of a unique id");
	for (int i = 0; i < meeting->ntcp; i++) {
		copy->tcp[i] = fcntl(meeting->tcp[i], F_DUPFD_CLOEXEC, 0);
		if (copy->tcp[i] < 0)
			return tt_fail_errno("cannot keep the listeners of a unique id");
		copy->ntcp++;
	}
	return TUTTI_OK;
}

tutti_status
tt_meeting_keep(const struct tt_rendezvous *rendezvous, const struct tt_meeting *meeting, int64_t deadline_ns)
{
	struct tt_meeting given = *meeting, ears;
	struct kept *kept;
	void *memory;
	tutti_status status;

	close_expired();
	TT_TRY(tt_alloc(1, sizeof(*kept), "a unique id's listeners", &memory));
	meeting_clear(&ears);
	status = copy_unguarded(meeting, &ears);
	if (status != TUTTI_OK) {
		tt_meeting_close(&ears);
		tt_free(memory);
		return status;
	}
	tt_meeting_close(&given);
	kept = memory;
	memcpy(kept->epoch, rendezvous->epoch, sizeof(kept->epoch));
	kept->meeting = ears;
	kept->deadline_ns = deadline_ns;
	kept->generation = tt_process_generation();
	tt_process_lock(&kept_meetings.lock);
	kept->next = kept_meetings.first;
	kept_meetings.first = kept;
	tt_process_unlock(&kept_meetings.lock);
	return TUTTI_OK;
}

tutti_status
tt_meeting_claim(const struct tt_rendezvous *rendezvous, bool claim, struct tt_meeting *meeting)
{
	struct kept *kept;

	close_expired();
	kept = unlink_first(claim ? has_epoch : is_inherited, rendezvous->epoch);
	if (claim && kept == NULL)
		return tt_fail(TUTTI_ERR_ARGUMENT, 0,
		    "rank 0 must be in the process that made the unique id (or in a child that it forked), an id "
		    "makes "
		    "one communicator, and it can be used only within the time limit it was made with");
	if (kept == NULL)
		return TUTTI_OK;
	if (claim) {
		*meeting = kept->meeting;
		for (int i = 0; i < meeting->ntcp; i++)
			tt_fd_guard(meeting->tcp[i]);
		tt_fd_guard(meeting->local);
	} else {
		tt_meeting_close(&kept->meeting);
	}
	tt_free(kept);
	return TUTTI_OK;
}
