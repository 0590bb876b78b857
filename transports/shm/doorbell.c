/* SPDX-License-Identifier: Apache-2.0
 *
 * doorbell.c - the socket and the words of a sleeper.
 */
#include "shm/doorbell.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"

static socklen_t
address_of(const struct tt_shm_name *name, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	/* A leading zero byte: the name is in no file system. */
	memcpy(address->sun_path + 1, name->bytes, sizeof(name->bytes));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + sizeof(name->bytes));
}

tutti_status
tt_shm_doorbell_open(const unsigned char *key, int rank, int *fd, struct tt_shm_name *name)
{
	struct {
		unsigned char random[16];
		int32_t rank;
	} seed = {{0}, rank};
	struct sockaddr_un address;
	socklen_t bytes;
	int bell;

	tt_random(seed.random, sizeof(seed.random));
	crypto_generichash(name->bytes, sizeof(name->bytes), (const unsigned char *)&seed, sizeof(seed), key,
	    key != NULL ? crypto_generichash_KEYBYTES : 0);
	bell = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bell < 0)
		return tt_fail_errno("cannot open the socket that wakes rank %d", rank);
	tt_fd_guard(bell);
	bytes = address_of(name, &address);
	if (bind(bell, (const struct sockaddr *)&address, bytes) != 0) {
		const tutti_status status = tt_fail_errno("cannot name the socket that wakes rank %d", rank);

		tt_fd_close(bell);
		return status;
	}
	*fd = bell;
	return TUTTI_OK;
}

void
tt_shm_doorbell_ring(int fd, struct tt_shm_rank *sleeper, const struct tt_shm_name *name)
{
	struct sockaddr_un address;
	socklen_t bytes;

	/* Pairs with the fence in tt_shm_doorbell_arm(). */
	tt_fence_seq_cst();
	if (TT_LIKELY(tt_load_relaxed(&sleeper->asleep) == 0) || tt_exchange_acq_rel(&sleeper->asleep, 0) == 0)
		return;
	bytes = address_of(name, &address);
	/* A full queue means that a datagram is waiting there already; a missing socket, that its owner is gone. */
	while (sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address, bytes) < 0 &&
	       errno == EINTR)
		continue;
}

void
tt_shm_doorbell_arm(struct tt_shm_rank *self)
{
	tt_store_relaxed(&self->asleep, 1);
	/* Pairs with the fence in tt_shm_doorbell_ring(). */
	tt_fence_seq_cst();
}

void
tt_shm_doorbell_disarm(int fd, struct tt_shm_rank *self)
{
	char byte;

	tt_store_relaxed(&self->asleep, 0);
	for (;;) {
		if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno != EINTR)
			return;
	}
}
