/* SPDX-License-Identifier: Apache-2.0
 *
 * transport.h - what a transport must provide.
 *
 * A transport moves messages between two ranks, in order and without loss. It knows no collectives, datatypes
 * or communicators, and never calls the layers above: completion is a field that the caller reads. (`fold` is
 * no exception: it is a pure function over memory, used in the place of memcpy.)
 *
 * Matching is by position: the k-th send on a lane of a link meets the k-th receive on that lane at the other
 * end. Their lengths and marks are equal, else both transfers end with TUTTI_ERR_MISMATCH. Lanes do not wait
 * for each other: a message that nobody has posted a receive for never delays another lane (keep it back with
 * credits, or set a bounded amount aside).
 *
 * An endpoint belongs to one communicator and is used by one thread at a time. Nothing here blocks. Buffers,
 * parts, mark and the transfer itself are lent from a successful post until `status` leaves TUTTI_IN_PROGRESS;
 * then the transport has forgotten them. Everything else that is passed in is copied.
 *
 * To write one, read docs/transports.md and make tests/conformance pass.
 */
#ifndef TUTTI_TRANSPORT_H
#define TUTTI_TRANSPORT_H

#include <sys/uio.h>
#include <tutti/tutti.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TUTTI_TRANSPORT_ABI 1    /* changes when a member changes its meaning; new members go at the end */
#define TUTTI_MARK_BYTES 32      /* what a message says about the operation it belongs to; compared, not read */
#define TUTTI_ADDRESS_BYTES 512  /* an endpoint's address is at most this long */
#define TUTTI_OFFER_BYTES 256    /* what a rank says before anything is opened, for offer() */

typedef struct tutti_endpoint tutti_endpoint; /* this rank's end of a transport; defined by it */
typedef struct tutti_link tutti_link;         /* one peer; defined by the transport */

/* Combines `bytes` bytes that arrived at byte `offset` of the message into the receiver's memory. Called in
 * order of offset, without gaps or repeats; offset and bytes are multiples of the transfer's grain. With any_order
 * only the last of these holds, and that every byte comes once. */
typedef void (*tutti_fold)(void *context, size_t offset, const void *data, size_t bytes);

/* One message, in the caller's memory. The caller sets the first group; zero the rest. */
typedef struct tutti_transfer {
	const struct iovec *parts; /* gathered from (send) or scattered to (receive); NULL with fold */
	uint32_t nparts;
	uint32_t lane;             /* < environment.lanes */
	size_t bytes;              /* sum of the parts; 0 is legal and is matched too */
	const void *mark;          /* TUTTI_MARK_BYTES of them */
	tutti_fold fold;           /* receive only, if the endpoint has TUTTI_CAN_FOLD: takes the place of parts */
	void *fold_context;
	uint32_t grain;            /* bytes of an element, a power of two ≤ 8; 1 without fold */
	uint32_t any_order;        /* with fold: 1 = its calls may come in any order of offset */
	uint32_t passive;          /* receive only: 1 = the peer may never send; do not connect for its sake */

	tutti_status status;       /* TUTTI_IN_PROGRESS while pending, then TUTTI_OK or why not */
	unsigned char peer_mark[TUTTI_MARK_BYTES]; /* with TUTTI_ERR_MISMATCH: what the other side said */
	size_t peer_bytes;                         /* and the length it used */
	void *priv[6];             /* the transport's, while pending */
} tutti_transfer;

/* What an endpoint is made for. Lent for the call of open() only, except `shared`, which outlives the endpoint. */
typedef struct tutti_environment {
	size_t size;               /* sizeof(tutti_environment) */
	int rank, nranks;
	uint32_t lanes;            /* lanes that will be used on each link */
	const int *local_ranks;    /* the ranks that share `shared` with this one, ascending, itself included */
	int nlocal;
	void *shared;              /* zeroed, 4 KiB aligned, the same memory (not address) on all of them; */
	size_t shared_bytes;       /* as large as shared_need() said; NULL and 0 if it said 0 */
	const unsigned char *key;  /* 32 bytes known to the ranks of the job only */
	const char *interfaces;    /* as in tutti_config; NULL = automatic */
	const char *port_range;
	int cores;                 /* usable cores of this host for all nlocal ranks together */
	int64_t connect_timeout_ms;
	int64_t peer_timeout_ms;   /* silence of a peer that is taken for its loss */
	const char *provider;      /* as in tutti_config.fabric_provider; NULL = automatic */
	const void *offers;        /* of all ranks, rank r's at r * TUTTI_OFFER_BYTES; NULL = not exchanged */
	int connections;           /* to each peer, for large messages; 0 = automatic */
	int checksum;              /* 1 = over the bytes of messages too, where the network's own are not trusted */
	size_t staging_bytes;      /* most that `shared` should hold of what one rank sends; 0 = the transport's choice */
} tutti_environment;

enum {
	TUTTI_CAN_FOLD = 1u << 0,  /* receives may carry a fold */
	TUTTI_CAN_WAIT = 1u << 1,  /* has wait_fd, arm and disarm */
	TUTTI_IS_LOCAL = 1u << 2,  /* reaches ranks of local_ranks only */
};

typedef struct tutti_properties {
	size_t size;
	uint32_t capabilities;     /* TUTTI_CAN_..., TUTTI_IS_... */
	double latency_ns;         /* a first guess of one way, tiny message */
	double bytes_per_s;        /* and of one link's bandwidth */
	size_t best_chunk;         /* bytes of a message from which it is no slower per byte */
} tutti_properties;

typedef struct tutti_transport {
	size_t size;               /* sizeof(tutti_transport) as the transport was compiled */
	uint32_t abi;              /* TUTTI_TRANSPORT_ABI */
	const char *name;          /* as written in TUTTI_TRANSPORTS */

	/* Would it work here? TUTTI_OK, or TUTTI_ERR_UNSUPPORTED with a sentence in why[]. No side effects. */
	tutti_status (*probe)(const tutti_environment *env, char *why, size_t why_bytes);
	/* Bytes of memory to be shared by the nlocal ranks of env (shared is not set yet). NULL: none. */
	size_t (*shared_need)(const tutti_environment *env);

	/* *endpoint is set on success only. close() takes any state, drops all links, waits for no peer, and lets
	 * data of completed sends still arrive. */
	tutti_status (*open)(const tutti_environment *env, tutti_endpoint **endpoint);
	void (*close)(tutti_endpoint *endpoint);
	void (*properties)(const tutti_endpoint *endpoint, tutti_properties *properties);

	/* This endpoint's address: writes at most *bytes (TUTTI_ADDRESS_BYTES suffices), sets *bytes. */
	tutti_status (*address)(tutti_endpoint *endpoint, void *address, size_t *bytes);
	/* Makes `peer` known. Local and quick: a connection is built when the first transfer is posted. */
	tutti_status (*connect)(tutti_endpoint *endpoint, int peer, const void *address, size_t bytes,
	    tutti_link **link);

	/* TUTTI_OK: posted; the transfer may have ended already. TUTTI_IN_PROGRESS: not taken, make progress and
	 * post again. Anything else: the link is dead, error() says why. */
	tutti_status (*send)(tutti_link *link, tutti_transfer *transfer);
	tutti_status (*recv)(tutti_link *link, tutti_transfer *transfer);

	/* Bounded work; returns how many transfers moved or ended, 0 = nothing happened. */
	int (*progress)(tutti_endpoint *endpoint);

	/* Why the link is dead: the status and one sentence that names the peer; TUTTI_OK while it lives. A link's
	 * death ends its pending transfers with that status. TUTTI_ERR_ABORTED accuses nobody: the link was given up
	 * because of another one, or its peer has said that it gives up. */
	tutti_status (*error)(const tutti_link *link, char *message, size_t message_bytes);
	/* Ends all pending transfers with TUTTI_ERR_ABORTED and forgets their buffers; nothing can be posted
	 * afterwards. The peers see their links die. */
	void (*cancel)(tutti_endpoint *endpoint);

	/* With TUTTI_CAN_WAIT. To sleep: arm(); if it says TUTTI_OK, poll wait_fd for reading (with a time limit),
	 * then disarm(). TUTTI_IN_PROGRESS: something is there already, do not sleep. */
	int (*wait_fd)(tutti_endpoint *endpoint);
	tutti_status (*arm)(tutti_endpoint *endpoint);
	void (*disarm)(tutti_endpoint *endpoint);

	/* Optional (NULL: no need). offer() says, in TUTTI_OFFER_BYTES of room, what this rank could use; all ranks'
	 * offers come back in environment.offers. agree() looks at them, and must come to the same result on every
	 * rank: TUTTI_OK, or TUTTI_ERR_UNSUPPORTED with a sentence in why[] that names a rank. */
	tutti_status (*offer)(const tutti_environment *env, void *offer);
	tutti_status (*agree)(const tutti_environment *env, char *why, size_t why_bytes);
	/* Optional, for a plug-in, which has no access to the library's error record: the sentence for the calling
	 * thread's last failed open(), address(), connect() or offer(). */
	void (*why)(char *message, size_t message_bytes);
} tutti_transport;

/* The one symbol of a plug-in tutti-NAME.so. */
typedef const tutti_transport *(*tutti_transport_entry)(void);
#define TUTTI_TRANSPORT_ENTRY "tutti_transport_get"

#ifdef __cplusplus
}
#endif
#endif /* TUTTI_TRANSPORT_H */
