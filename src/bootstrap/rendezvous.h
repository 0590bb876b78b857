/* SPDX-License-Identifier: Apache-2.0
 *
 * rendezvous.h - where the ranks of one communicator meet: addresses of rank 0, the key, and which meeting it is.
 *
 * A rendezvous is what a unique id contains, and what every launcher's environment is turned into. Rank 0's
 * process opens the listeners (tt_meeting) before anybody can know the id.
 */
#ifndef TT_BOOTSTRAP_RENDEZVOUS_H
#define TT_BOOTSTRAP_RENDEZVOUS_H

#include "base/handshake.h"
#include "base/net.h"
#include "base/settings.h"

#define TT_MEETING_ADDRESSES 8

#define TT_MEETING_PORTS 64

struct tt_rendezvous {
	unsigned char key[TT_KEY_BYTES]; /* known to the ranks of the job only */
	unsigned char epoch[16]; /* this communicator; public */
	bool authenticated; /* false: the key could only be derived from public facts */
	struct tt_address addresses[TT_MEETING_ADDRESSES]; /* of rank 0, best first */
	int naddresses; /* 0: all ranks are on one machine (abstract Unix socket only) */
	int ports; /* > 1: rank 0 listens on one of the ports port, port+step, ... (mod range) */
	uint16_t port_step;
};

/* Where rank 0 may listen: address 0 .. count-1, first every address with its first port, then with the second ... */
int tt_rendezvous_count(const struct tt_rendezvous *rendezvous);
void tt_rendezvous_address(const struct tt_rendezvous *rendezvous, int i, struct tt_address *address);

#define TT_NAME_BYTES 32
/* An abstract Unix name that only those who know the key can tell or guess. */
void tt_rendezvous_name(
    const struct tt_rendezvous *rendezvous, const char *what, int number, unsigned char name[TT_NAME_BYTES]);

/* Rank 0's open ears: a TCP listener per address (none if naddresses is 0) and the abstract Unix socket
 * "root" of the key and epoch, which tells the others whether they are on rank 0's host. */
struct tt_meeting {
	int tcp[TT_MEETING_ADDRESSES];
	int ntcp;
	int local;
};

/* A fresh key and epoch, listeners on the interfaces of `settings`; fills both. */
tutti_status tt_meeting_open(
    const struct tt_settings *settings, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting);
/* Opens the listeners of a rendezvous whose addresses are given (fixed or a sequence of ports). */
tutti_status tt_meeting_open_at(const struct tt_rendezvous *rendezvous, struct tt_meeting *meeting);
void tt_meeting_close(struct tt_meeting *meeting);

/* A rendezvous in the 256 bytes of a unique id and back. ERR_ARGUMENT: not an id of ours, or damaged;
 * ERR_VERSION: another format. */
void tt_unique_id_write(const struct tt_rendezvous *rendezvous, tutti_unique_id *id);
tutti_status tt_unique_id_read(const tutti_unique_id *id, struct tt_rendezvous *rendezvous);

/* Listeners that wait between tutti_unique_id_create and rank 0's tutti_comm_create in the same process (or in a
 * child that it forked). Process-wide by nature, kept by epoch; closed unclaimed ones at their deadline (looked at
 * whenever one of these is called). Takes the descriptors over unless it fails. */
tutti_status tt_meeting_keep(
    const struct tt_rendezvous *rendezvous, const struct tt_meeting *meeting, int64_t deadline_ns);
/* Rank 0 takes its meeting; ERR_ARGUMENT: this process did not make that id (or it has been used). A forked
 * child of another rank drops its copy: pass claim = false (where it changes nothing if this process made the id). */
tutti_status tt_meeting_claim(const struct tt_rendezvous *rendezvous, bool claim, struct tt_meeting *meeting);

#endif /* TT_BOOTSTRAP_RENDEZVOUS_H */
