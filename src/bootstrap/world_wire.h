/* SPDX-License-Identifier: Apache-2.0
 *
 * world_wire.h - what the ranks of a world say to each other after the handshake.
 *
 * A frame is 8 bytes (type, length) and at most TT_FRAME_MOST more, all integers little-endian. Decoders check
 * every length and every number against what it may be; who sent a frame has proved that it belongs to the job.
 */
#ifndef TT_BOOTSTRAP_WORLD_WIRE_H
#define TT_BOOTSTRAP_WORLD_WIRE_H

#include "base/net.h"
#include "base/port.h"

#define TT_FRAME_HEAD 8
#define TT_FRAME_MOST 4096

enum tt_frame {
	/* Creation, upwards: */
	TT_FRAME_CARD = 1, /* a rank wants to join; leaders pass the cards of their subtrees on */
	TT_FRAME_PROOF, /* member to leader: what it read in the segment, hashed; empty: no shared memory */
	TT_FRAME_READY, /* my subtree has the table and all it needs */
	/* Creation, downwards: */
	TT_FRAME_WELCOME, /* your card was taken */
	TT_FRAME_REDIRECT, /* join that leader instead */
	TT_FRAME_MOVE, /* rank 0 is on this host after all: join it yourself */
	TT_FRAME_OFFER, /* the node's segment */
	TT_FRAME_DESCRIPTOR, /* not a frame on the wire: the byte that carries the segment's descriptor */
	TT_FRAME_TABLE, /* a part of the table of homes */
	TT_FRAME_WORDS, /* leader to members of its node: where the death words are */
	TT_FRAME_GO, /* all are ready */
	/* Both ways, at any time before the start: */
	TT_FRAME_FAIL, /* creation or exchange has failed, with the error record */
	/* Exchange: */
	TT_FRAME_GATHER, /* upwards: a part of a rank's contribution */
	TT_FRAME_SCATTER, /* downwards: a part of all of them */
	/* Afterwards, routed: */
	TT_FRAME_MESSAGE,
	TT_FRAME_GOODBYE,
	/* Without a world (survivors.h): */
	TT_FRAME_ENROLL, /* upwards: who is here, who is gone */
	TT_FRAME_SURVIVORS /* downwards: who goes on, and where they meet */
};

/* How a rank introduces itself. */
#define TT_CARD_BYTES 64
enum {
	TT_CARD_SHARES = 1, /* wants to share memory */
	TT_CARD_STAYS = 2 /* could not reach where it was sent: take it in */
};
struct tt_card {
	int32_t rank, size;
	int32_t home; /* the leader of the node whose memory it shares; itself if nobody's */
	uint32_t flags;
	uint32_t left_ms; /* until its deadline; UINT32_MAX = no limit */
	unsigned char process[16];
	struct tt_address address; /* where it takes other leaders in; family 0: nowhere */
};
void tt_card_write(const struct tt_card *card, unsigned char bytes[TT_CARD_BYTES]);
bool tt_card_read(const void *bytes, size_t n, struct tt_card *card);

#define TT_REDIRECT_BYTES 24
void tt_redirect_write(int rank, const struct tt_address *address, unsigned char bytes[TT_REDIRECT_BYTES]);
bool tt_redirect_read(const void *bytes, size_t n, int *rank, struct tt_address *address);

#define TT_OFFER_BYTES 32
struct tt_offer {
	uint64_t nonce_at; /* offset of 32 random bytes in the segment */
	bool descriptor_follows; /* false: it is in the process's own list */
	unsigned char id[16]; /* of the segment in that list */
};
void tt_offer_write(const struct tt_offer *offer, unsigned char bytes[TT_OFFER_BYTES]);
bool tt_offer_read(const void *bytes, size_t n, struct tt_offer *offer);

/* A run of the table: homes of ranks first, first+1, ... */
#define TT_TABLE_RUN 1000
size_t tt_table_write(int first, int n, const int32_t *homes, unsigned char bytes[TT_FRAME_MOST]);
/* Copies the run into homes[size] if it continues at `expected`; returns its length, -1 if it is wrong. */
int tt_table_read(const void *bytes, size_t n, int expected, int size, int32_t *homes);

size_t tt_failure_write(const tutti_error *error, unsigned char bytes[TT_FRAME_MOST]);
bool tt_failure_read(const void *bytes, size_t n, tutti_error *error);

/* A part of a contribution (GATHER, rank is whose) or of all contributions (SCATTER, rank -1). */
#define TT_PART_HEAD 32
#define TT_PART_MOST (TT_FRAME_MOST - TT_PART_HEAD)
struct tt_part {
	int32_t rank;
	uint32_t number; /* of the exchange */
	uint64_t bytes; /* that each rank contributes */
	uint64_t offset; /* of this part */
};
void tt_part_write(const struct tt_part *part, unsigned char bytes[TT_PART_HEAD]);
bool tt_part_read(const void *bytes, size_t n, struct tt_part *part);

/* The head of a MESSAGE; a GOODBYE is a head with to = -1 and nothing behind it. */
#define TT_ROUTE_BYTES 8
void tt_route_write(int to, int from, unsigned char bytes[TT_ROUTE_BYTES]);
bool tt_route_read(const void *bytes, size_t n, int size, int *to, int *from);

#endif /* TT_BOOTSTRAP_WORLD_WIRE_H */
