/* SPDX-License-Identifier: Apache-2.0
 *
 * derived_meet.c - a rendezvous that every rank works out for itself, where the launcher carries no messages.
 *
 * Key and epoch are a digest of what all ranks of the job were told alike: the job's name and incarnation, where
 * rank 0 is, the number of the call, and the secret if there is one. Everything that could be told differently to
 * two ranks (sizes, this host's addresses) must stay out of it, and everything that keeps two jobs apart must be
 * in it. Rank 0 listens on addresses of its own; the others go where the launcher says that rank 0 is.
 */
#include "bootstrap/identity.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "bootstrap/bytes.h"

#define PORTS 16
/* Where a launcher names no port: above what services use, below where Linux takes ports for outgoing connections. */
#define FREE_LOW 20000
#define FREE_HIGH 32767
/* How far from a port that another owns. */
#define NEAR 4096
#define RETRY_MS 500

/* ---- what all ranks derive alike ------------------------------------------------------------------------- */

/* Each part with its length, so that no two sequences of parts look alike. */
static void
mix(crypto_generichash_state *state, const void *part, size_t bytes)
{
	unsigned char length[4];

	tt_put_u32(length, (uint32_t)bytes);
	crypto_generichash_update(state, length, sizeof(length));
	crypto_generichash_update(state, part, bytes);
}

static void
mix_number(crypto_generichash_state *state, uint32_t number)
{
	unsigned char bytes[4];

	tt_put_u32(bytes, number);
	mix(state, bytes, sizeof(bytes));
}

static void
derive_key(const struct tt_identity *identity, const unsigned char secret[TT_KEY_BYTES], unsigned call,
    struct tt_rendezvous *rendezvous)
{
	static const char label[] = "tutti derived rendezvous 1";
	unsigned char epoch[TT_KEY_BYTES];
	crypto_generichash_state state;

	crypto_generichash_init(&state, secret, TT_KEY_BYTES, TT_KEY_BYTES);
	mix(&state, label, sizeof(label));
	mix(&state, identity->job, strlen(identity->job));
	mix(&state, identity->root_host, strlen(identity->root_host));
	mix_number(&state, (uint32_t)identity->root_port);
	/* Names on one machine are shared by its users, who must not stand in each other's way. */
	mix_number(&state, identity->one_machine ? (uint32_t)geteuid() : UINT32_MAX);
	mix_number(&state, call);
	crypto_generichash_final(&state, rendezvous->key, TT_KEY_BYTES);
	tt_key_derive(rendezvous->key, "derived epoch", 0, epoch);
	memcpy(rendezvous->epoch, epoch, sizeof(rendezvous->epoch));
	sodium_memzero(&state, sizeof(state));
}

/* The ports from which rank 0 may choose. */
static tutti_status
port_limits(const struct tt_identity *identity, const char *port_range, uint16_t *low, uint16_t *high)
{
	const int port = identity->root_port;

	if (port_range != NULL)
		return tt_port_range_parse(port_range, low, high);
	*low = FREE_LOW;
	*high = FREE_HIGH;
	if (port > UINT16_MAX - NEAR) {
		*low = (uint16_t)(port - NEAR);
		*high = (uint16_t)(port - 1);
	} else if (port > 0) {
		*low = (uint16_t)(port + 1);
		*high = (uint16_t)(port + NEAR);
	}
	return TUTTI_OK;
}

/* Several, because the first may be taken: rank 0 listens on one, the others try all, the hello tells. */
static tutti_status
derive_ports(
    const struct tt_identity *identity, const char *port_range, struct tt_rendezvous *rendezvous, uint16_t *first)
{
	unsigned char bytes[TT_KEY_BYTES];
	uint16_t low, high;
	unsigned n, ports;

	if (identity->root_given) {
		*first = (uint16_t)identity->root_port;
		n = UINT16_MAX - (unsigned)*first + 1;
		rendezvous->ports = (int)(n < PORTS ? n : PORTS);
		rendezvous->port_step = 1;
		return TUTTI_OK;
	}
	TT_TRY(port_limits(identity, port_range, &low, &high));
	n = (unsigned)high - low + 1;
	ports = n < PORTS ? n : PORTS;
	tt_key_derive(rendezvous->key, "derived ports", 0, bytes);
	rendezvous->ports = (int)ports;
	rendezvous->port_step = (uint16_t)(1 + tt_get_u32(bytes) % (n / ports));
	n -= (ports - 1) * rendezvous->port_step;
	*first = (uint16_t)(low + tt_get_u32(bytes + 4) % n);
	return TUTTI_OK;
}

/* ---- where rank 0 is ------------------------------------------------------------------------------------- */

static int
take_addresses(const struct addrinfo *list, struct tt_address *addresses)
{
	int n = 0;

	for (; list != NULL && n < TT_MEETING_ADDRESSES; list = list->ai_next) {
		struct sockaddr_storage storage;

		memset(&storage, 0, sizeof(storage));
		memcpy(
		    &storage, list->ai_addr, list->ai_addrlen < sizeof(storage) ? list->ai_addrlen : sizeof(storage));
		tt_address_from_sockaddr(&storage, &addresses[n]);
		n += addresses[n].family != 0;
	}
	return n;
}

/* One look-up; 0 or what getaddrinfo returns. It blocks for as long as the system's resolver does. */
static int
look_up(const char *host, struct tt_address *addresses, int *n)
{
	static const int flags[] = {AI_NUMERICHOST, AI_ADDRCONFIG, 0};
	int result = EAI_NONAME;

	/* AI_ADDRCONFIG would reject an address that was written out, and "localhost" on a host with no network. */
	for (size_t i = 0; i < TT_COUNT_OF(flags); i++) {
		const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags[i]};
		struct addrinfo *list;

		result = getaddrinfo(host, NULL, &hints, &list);
		if (result == 0) {
			*n = take_addresses(list, addresses);
			freeaddrinfo(list);
			return *n > 0 ? 0 : EAI_NONAME;
		}
		if (result == EAI_AGAIN)
			break;
	}
	return result;
}

/* The name servers of a cluster learn a job's names while it starts: for a launcher that is known for it, a name
 * that does not exist may exist later. */
static bool
may_come(enum tt_launcher launcher, int result)
{
	if (result == EAI_AGAIN)
		return true;
	return (launcher == TT_LAUNCHER_KUBERNETES || launcher == TT_LAUNCHER_PLAIN ||
		   launcher == TT_LAUNCHER_TUTTI) &&
	       result == EAI_NONAME;
}

static tutti_status
find_root(const struct tt_identity *identity, int64_t deadline_ns, struct tt_address *addresses, int *n)
{
	for (;;) {
		const int result = look_up(identity->root_host, addresses, n);
		int pause_ms;

		if (result == 0)
			return TUTTI_OK;
		pause_ms = tt_poll_ms(deadline_ns, tt_now_ns(), RETRY_MS);
		if (may_come(identity->launcher, result) && pause_ms > 0) {
			poll(NULL, 0, pause_ms);
			continue;
		}
		if (result == EAI_SYSTEM)
			return tt_fail_errno(
			    "the host of rank 0, \"%.100s\", cannot be looked up", identity->root_host);
		return tt_fail(TUTTI_ERR_SYSTEM, 0,
		    "the host of rank 0, \"%.100s\", has no address here (%s): set TUTTI_ROOT=HOST:PORT to a name or "
		    "address of it that all ranks can use",
		    identity->root_host, gai_strerror(result));
	}
}

static bool
is_loopback(const struct tt_address *address)
{
	static const unsigned char v6[16] = {[15] = 1};

	return address->family == 4 ? address->ip[0] == 127 : memcmp(address->ip, v6, sizeof(v6)) == 0;
}

/* Does this host have the address? The system says it best. */
static bool
is_mine(const struct tt_address *address)
{
	struct tt_address any_port = *address;
	struct sockaddr_storage where;
	socklen_t bytes;
	bool mine;
	int fd;

	any_port.port = 0;
	bytes = tt_address_to_sockaddr(&any_port, &where);
	fd = socket(where.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	mine = bind(fd, (const struct sockaddr *)&where, bytes) == 0;
	close(fd);
	return mine;
}

/* Those addresses of the root that this host has. *everywhere: the name says nothing about how others reach it
 * (Debian gives a host's own name to 127.0.1.1). */
static int
keep_mine(const struct tt_identity *identity, struct tt_address *addresses, int n, bool *everywhere)
{
	const bool meant = strncmp(identity->root_host, "127.", 4) == 0 ||
			   strcmp(identity->root_host, "localhost") == 0 || strcmp(identity->root_host, "::1") == 0;
	int kept = 0;

	*everywhere = !meant;
	for (int i = 0; i < n; i++) {
		if (!is_mine(&addresses[i]))
			continue;
		if (!is_loopback(&addresses[i]))
			*everywhere = false;
		addresses[kept++] = addresses[i];
	}
	return kept;
}

static tutti_status
root_listens_at(const struct tt_identity *identity, const struct tt_settings *settings, const struct tt_log *log,
    struct tt_rendezvous *rendezvous)
{
	struct tt_address *addresses = rendezvous->addresses;
	int found = 0, more = 0;
	bool everywhere = true;

	if (look_up(identity->root_host, addresses, &found) == 0)
		found = keep_mine(identity, addresses, found, &everywhere);
	if (found == 0 || everywhere) {
		tt_log(log, TT_LOG_INFO,
		    "\"%s\" is no address by which others can reach this host: listening on its interfaces",
		    identity->root_host);
		if (found == TT_MEETING_ADDRESSES)
			found--;
		TT_TRY(tt_interfaces(
		    settings->text[TT_SET_INTERFACES], addresses + found, TT_MEETING_ADDRESSES - found, &more));
	}
	rendezvous->naddresses = found + more;
	return TUTTI_OK;
}

/* ---- together -------------------------------------------------------------------------------------------- */

static void
log_meeting(const struct tt_identity *identity, const struct tt_log *log, const struct tt_rendezvous *rendezvous,
    unsigned call)
{
	if (rendezvous->naddresses == 0)
		return;
	if (!rendezvous->authenticated && identity->rank == 0 && call == 0)
		tt_log(log, TT_LOG_WARN,
		    "the ranks share no secret, so whoever reaches \"%s\" could join this job: give all ranks the "
		    "same "
		    "TUTTI_SECRET_FILE",
		    identity->root_host);
	tt_log(log, TT_LOG_DEBUG, "rank 0 is at \"%s\", on one of %d ports from %u in steps of %u",
	    identity->root_host, rendezvous->ports, (unsigned)rendezvous->addresses[0].port,
	    (unsigned)rendezvous->port_step);
}

static tutti_status
derive(const struct tt_identity *identity, const struct tt_settings *settings, const struct tt_log *log,
    unsigned call, int64_t deadline_ns, struct tt_rendezvous *made)
{
	unsigned char secret[TT_KEY_BYTES];
	uint16_t port;

	TT_TRY(tt_secret_read(identity->secret_fd, settings->text[TT_SET_SECRET_FILE], secret, &made->authenticated));
	derive_key(identity, secret, call, made);
	sodium_memzero(secret, sizeof(secret));
	if (identity->one_machine)
		return TUTTI_OK;
	TT_TRY(derive_ports(identity, settings->text[TT_SET_PORT_RANGE], made, &port));
	if (identity->rank == 0)
		TT_TRY(root_listens_at(identity, settings, log, made));
	else
		TT_TRY(find_root(identity, deadline_ns, made->addresses, &made->naddresses));
	for (int i = 0; i < made->naddresses; i++)
		made->addresses[i].port = port;
	return TUTTI_OK;
}

tutti_status
tt_derived_meet(const struct tt_identity *identity, const struct tt_settings *settings, const struct tt_log *log,
    unsigned call, int64_t deadline_ns, struct tt_rendezvous *rendezvous, struct tt_meeting *meeting)
{
	struct tt_rendezvous made;

	memset(&made, 0, sizeof(made));
	TT_TRY(derive(identity, settings, log, call, deadline_ns, &made));
	log_meeting(identity, log, &made, call);
	if (identity->rank == 0)
		TT_TRY(tt_meeting_open_at(&made, meeting));
	*rendezvous = made;
	return TUTTI_OK;
}
