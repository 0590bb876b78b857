/* SPDX-License-Identifier: Apache-2.0
 *
 * remote.h - reading the memory of another process of this machine where it is: one copy, made by the kernel.
 *
 * Whether that works depends on users, namespaces, security modules and filters, so nothing here guesses: a process says
 * in a card who it is and where it keeps a proof, and whoever can read that proof with the card is allowed to, and has
 * the right process. A process number alone means nothing: across namespaces, and after a death, it is another's. So
 * every read brings the proof along, in the same system call.
 * The memory of others is only read, never written. No state; any thread.
 */
#ifndef TT_BASE_REMOTE_H
#define TT_BASE_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TT_REMOTE_PROOF 16

/* What a process tells those who are to read its memory. All zero: nobody is to. */
struct tt_remote {
	int32_t pid; /* as it sees itself */
	int32_t dumpable; /* PR_GET_DUMPABLE when the card was made */
	uint64_t at; /* where the proof is, in its address space */
	unsigned char proof[TT_REMOTE_PROOF];
};

/* Draws a proof into `kept`, which stays where it is as long as the card is used. */
void tt_remote_init(struct tt_remote *card, unsigned char kept[TT_REMOTE_PROOF]);
/* Copies `bytes` from `from`, an address there, to `to`. 0, or an errno: what is at `to` is of no use then. ESRCH: there
 * is no such process, or it is another one. */
int tt_remote_read(const struct tt_remote *card, void *to, uint64_t from, size_t bytes);
/* Can the process that the card describes be read by this one? 0, or why not. */
int tt_remote_prove(const struct tt_remote *card);
/* This process has not shut itself off since it made the card. */
bool tt_remote_still(const struct tt_remote *mine);
/* Can others read these bytes of this process as they could when it made its card? Not if it has shut itself off since,
 * or if it is memory that the kernel lends to nobody (a device's, a secret one). */
bool tt_remote_offers(const struct tt_remote *mine, const void *from, size_t bytes);

#endif /* TT_BASE_REMOTE_H */
