/* SPDX-License-Identifier: Apache-2.0
 *
 * remote.c - process_vm_readv, with a proof in front of every copy.
 *
 * The rule that keeps it correct: what was copied counts only if the proof that came with it is the one of the card. The
 * kernel looks up the process once for each call and reads the proof first, so both are of one address space.
 */
#include "base/remote.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/process.h"

#define CALL_MOST ((size_t)4 << 20) /* bytes of a call: what one call takes no abort can interrupt */

void
tt_remote_init(struct tt_remote *card, unsigned char kept[TT_REMOTE_PROOF])
{
	tt_random(kept, TT_REMOTE_PROOF);
	card->pid = getpid();
	card->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	card->at = (uint64_t)(uintptr_t)kept;
	memcpy(card->proof, kept, TT_REMOTE_PROOF);
}

/* Addresses of another process do not become pointers before they are given to the kernel. */
static void *
there(uint64_t at)
{
	return (void *)(uintptr_t)at;
}

/* Copies some of the bytes: how many, or -1 and errno. */
static ssize_t
read_some(const struct tt_remote *card, void *to, uint64_t from, size_t bytes)
{
	unsigned char proof[TT_REMOTE_PROOF];
	const struct iovec local[2] = {{proof, sizeof(proof)}, {to, bytes}};
	const struct iovec remote[2] = {{there(card->at), sizeof(proof)}, {there(from), bytes}};
	const int pieces = bytes > 0 ? 2 : 1;
	ssize_t n;

	do
		n = process_vm_readv(card->pid, local, (unsigned long)pieces, remote, (unsigned long)pieces, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	if ((size_t)n < sizeof(proof) || memcmp(proof, card->proof, sizeof(proof)) != 0) {
		errno = ESRCH;
		return -1;
	}
	n -= (ssize_t)sizeof(proof);
	if (n == 0 && bytes > 0) {
		errno = EFAULT; /* the proof could be read and what follows could not */
		return -1;
	}
	return n;
}

int
tt_remote_read(const struct tt_remote *card, void *to, uint64_t from, size_t bytes)
{
	unsigned char *at = to;

	do {
		ssize_t n = read_some(card, at, from, tt_min_size(bytes, CALL_MOST));

		if (n < 0) {
			const int error = errno;
			unsigned char byte;

			if (error != EFAULT || bytes == 0 || read_some(card, &byte, from, 1) != 1)
				return error;
			/* It is `to` that cannot be written: the fault belongs here, as with any other copy. */
			*at = byte;
			n = 1;
		}
		at += n;
		from += (uint64_t)n;
		bytes -= (size_t)n;
	} while (bytes > 0);
	return 0;
}

int
tt_remote_prove(const struct tt_remote *card)
{
	return card->pid <= 0 ? ESRCH : tt_remote_read(card, NULL, 0, 0);
}

bool
tt_remote_still(const struct tt_remote *mine)
{
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == mine->dumpable;
}

bool
tt_remote_offers(const struct tt_remote *mine, const void *from, size_t bytes)
{
	const uint64_t first = (uint64_t)(uintptr_t)from;
	unsigned char ends[2];
	const struct iovec local = {ends, sizeof(ends)};
	const struct iovec remote[2] = {{there(first), 1}, {there(first + bytes - 1), 1}};

	if (bytes == 0 || !tt_remote_still(mine))
		return false;
	return process_vm_readv(mine->pid, &local, 1, remote, 2, 0) == (ssize_t)sizeof(ends);
}
