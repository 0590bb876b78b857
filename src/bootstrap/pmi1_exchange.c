/* SPDX-License-Identifier: Apache-2.0
 *
 * pmi1_exchange.c - rank 0 puts its id into the launcher's key-value space, all meet at the barrier, the others get.
 *
 * The connection to the launcher is one per process by nature, so it is this file's only state: opened by the first
 * call, used by one thread at a time, ended with a goodbye when the process exits or the library is unloaded. It is
 * a copy of the launcher's descriptor: if an MPI library closes the original, nothing else can get its number.
 */
#include "bootstrap/pmi1_exchange.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "bootstrap/pmi1.h"

#define GOODBYE_MS 1000
#define TEXT_BYTES 512 /* an id in base64, and room */

static struct {
	pthread_mutex_t lock;
	bool open;
	uint32_t generation; /* of the process that opened it: a forked child has no part in it */
	struct tt_pmi1 pmi;
} process = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the connection -------------------------------------------------------------------------------------- */

static tutti_status
copy_fd(int fd, int *copy)
{
	*copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (*copy < 0)
		return tt_fail_errno(
		    "PMI_FD=%d is not an open connection here: a program between the launcher and this "
		    "one has closed it (in Python: close_fds=False)",
		    fd);
	tt_fd_guard(*copy);
	return TUTTI_OK;
}

/* The first address is the one: the launcher named a host that it reaches itself. */
static tutti_status
look_up(const char *port, struct tt_address *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	const char *colon = strrchr(port, ':');
	struct sockaddr_storage storage;
	struct addrinfo *list;
	char host[256];
	int result;

	if (colon == NULL || colon == port)
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "PMI_PORT=\"%.80s\" should be HOST:PORT", port);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - port), port);
	result = getaddrinfo(host, colon + 1, &hints, &list);
	if (result != 0)
		return tt_fail(
		    TUTTI_ERR_SYSTEM, -1, "PMI_PORT=\"%.80s\" cannot be looked up: %s", port, gai_strerror(result));
	memset(&storage, 0, sizeof(storage));
	memcpy(&storage, list->ai_addr, list->ai_addrlen < sizeof(storage) ? list->ai_addrlen : sizeof(storage));
	freeaddrinfo(list);
	tt_address_from_sockaddr(&storage, address);
	return TUTTI_OK;
}

static tutti_status
wait_connected(int fd, int64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	for (;;) {
		const int wait_ms = tt_poll_ms(deadline_ns, tt_now_ns(), 60000);

		if (poll(&p, 1, wait_ms) > 0)
			return tt_connect_result(fd);
		if (wait_ms == 0)
			return tt_fail(
			    TUTTI_ERR_TIMEOUT, -1, "the launcher's PMI server could not be reached in time");
	}
}

static tutti_status
connect_to(const char *port, int64_t deadline_ns, int *fd)
{
	struct tt_address address;
	tutti_status status;
	int made;

	TT_TRY(look_up(port, &address));
	TT_TRY(tt_connect_tcp(&address, &made));
	status = wait_connected(made, deadline_ns);
	if (status != TUTTI_OK) {
		tt_fd_close(made);
		return status;
	}
	*fd = made;
	return TUTTI_OK;
}

static tutti_status
open_once(const struct tt_identity *identity, int64_t deadline_ns)
{
	tutti_status status;
	int fd;

	if (process.open && process.generation != tt_process_generation())
		return tt_fail(TUTTI_ERR_STATE, -1,
		    "this process was forked from one that talks to the launcher, which knows only the parent");
	if (process.open)
		return TUTTI_OK;
	if (identity->pmi_fd >= 0) {
		TT_TRY(copy_fd(identity->pmi_fd, &fd));
		status = tt_pmi1_open(fd, deadline_ns, &process.pmi);
	} else {
		TT_TRY(connect_to(identity->pmi_port, deadline_ns, &fd));
		status = tt_pmi1_open_as(fd, identity->pmi_id, deadline_ns, &process.pmi);
	}
	/* A connection that failed stays known as broken: a second try would meet the answers to the first. */
	process.open = true;
	process.generation = tt_process_generation();
	return status;
}

/* A launcher that hears no goodbye ends the other ranks. */
__attribute__((destructor)) static void
say_goodbye(void)
{
	if (pthread_mutex_trylock(&process.lock) != 0)
		return;
	if (process.open && process.generation == tt_process_generation())
		tt_pmi1_finalize(&process.pmi, tt_deadline_ns(GOODBYE_MS));
	process.open = false;
	pthread_mutex_unlock(&process.lock);
}

/* ---- the exchange ---------------------------------------------------------------------------------------- */

static tutti_status
publish(const char *key, const tutti_unique_id *id, int64_t deadline_ns)
{
	char text[TEXT_BYTES];
	tutti_status status;

	sodium_bin2base64(text, sizeof(text), (const unsigned char *)id->bytes, sizeof(id->bytes),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	status = tt_pmi1_put(&process.pmi, key, text, deadline_ns);
	sodium_memzero(text, sizeof(text));
	return status;
}

static tutti_status
fetch(const char *key, tutti_unique_id *id, int64_t deadline_ns)
{
	char text[TEXT_BYTES];
	size_t bytes = 0;
	tutti_status status;
	bool whole;

	status = tt_pmi1_get(&process.pmi, key, text, sizeof(text), deadline_ns);
	if (status != TUTTI_OK)
		return status;
	whole = sodium_base642bin((unsigned char *)id->bytes, sizeof(id->bytes), text, strlen(text), NULL, &bytes,
		    NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
		bytes == sizeof(id->bytes);
	sodium_memzero(text, sizeof(text));
	if (!whole)
		return tt_fail(TUTTI_ERR_ARGUMENT, 0,
		    "what the launcher's PMI server has under \"%s\" is not a unique id of rank 0", key);
	return TUTTI_OK;
}

static tutti_status
exchange(const struct tt_pmi1_call *call, int rank, tutti_unique_id *id, int64_t deadline_ns)
{
	tutti_status status = TUTTI_OK;
	char key[32];

	snprintf(key, sizeof(key), "tutti-id-%u", call->number);
	TT_TRY(open_once(call->identity, deadline_ns));
	if (rank == 0)
		status = publish(key, id, deadline_ns);
	/* Even without an id to give, rank 0 comes to the barrier: the others then learn at once that there is none. */
	if (status == TUTTI_OK || !process.pmi.broken)
		TT_TRY(tt_pmi1_barrier(&process.pmi, deadline_ns));
	return rank == 0 ? status : fetch(key, id, deadline_ns);
}

tutti_status
tt_pmi1_exchange(void *context, int rank, tutti_unique_id *id, int64_t deadline_ns)
{
	tutti_status status;

	pthread_mutex_lock(&process.lock);
	status = exchange(context, rank, id, deadline_ns);
	pthread_mutex_unlock(&process.lock);
	return status;
}
