/* SPDX-License-Identifier: Apache-2.0
 *
 * choice.c - asks libfabric what there is, and keeps the best of it.
 *
 * The order of libfabric's own list says nothing about what is good: the choice is by the table below. Software
 * providers that only exist to be compatible (sockets, ofi_rxd) or that cannot do more than the shm transport are
 * taken by name only.
 */
#include "fabric/choice.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/net.h"
#include "fabric/nic.h"

#define ADDRESSES 16
#define MAGIC "tuttiof1"

enum {
	RDMA = 1u << 0, /* a card moves the bytes */
	BY_NAME = 1u << 1, /* only if asked for */
	NO_DATA = 1u << 2, /* a write that is to tell of its delivery never does, if it carries data */
};

/* The best first. */
static const struct known {
	const char *name;
	uint32_t flags;
} known[] = {
    {"cxi", RDMA},
    {"efa", RDMA},
    {"verbs;ofi_rxm", RDMA},
    {"opx", RDMA},
    {"psm3", RDMA},
    {"psm2", RDMA},
    {"net", 0},
    {"tcp", 0},
    {"tcp;ofi_rxm", 0},
    {"shm", BY_NAME},
    {"udp;ofi_rxd", BY_NAME},
    {"sockets", BY_NAME | NO_DATA},
};

/* What is asked for. */
struct wish {
	char name[64]; /* "" = any */
	bool rdma;
	uint32_t first_rung, last_rung;
	struct tt_address addresses[ADDRESSES];
	int naddresses;
	int turn; /* among equals: this rank's place on its host */
	const char *devices; /* where cards say which cores are beside them */
};

static tutti_status
read_wish(const tutti_environment *env, struct wish *wish)
{
	const char *text = env->provider != NULL ? env->provider : "";
	const size_t length = strcspn(text, "/");
	const char *rung = text + length;

	*wish = (struct wish){.first_rung = TT_FAB_WRITES_TELL, .last_rung = TT_FAB_MESSAGES};
	if (length >= sizeof(wish->name))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1, "'%.64s...' is not the name of a libfabric provider", text);
	memcpy(wish->name, text, length);
	if (strcmp(rung, "/write") == 0)
		wish->first_rung = wish->last_rung = TT_FAB_WRITES;
	else if (strcmp(rung, "/messages") == 0)
		wish->first_rung = TT_FAB_MESSAGES;
	else if (rung[0] != '\0')
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "'%.64s' after the name of a libfabric provider means nothing: /write or /messages", rung);
	wish->rdma = strcmp(wish->name, "rdma") == 0;
	if (wish->rdma)
		wish->name[0] = '\0';
	for (int i = 0; i < env->nlocal; i++)
		if (env->local_ranks[i] == env->rank)
			wish->turn = i;
	return tt_interfaces(env->interfaces, wish->addresses, ADDRESSES, &wish->naddresses);
}

/* ---- what a provider says ---------------------------------------------------------------------------------------- */

static struct fi_info *
hints_for(uint32_t rung)
{
	struct fi_info *hints = fi_allocinfo();

	if (hints == NULL)
		return NULL;
	hints->ep_attr->type = FI_EP_RDM;
	hints->caps = FI_MSG;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->domain_attr->mr_mode =
	    FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
	hints->domain_attr->threading = FI_THREAD_DOMAIN;
	hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
	if (rung != TT_FAB_MESSAGES) {
		hints->caps |= FI_RMA;
		/* Asked for here, then used for writes only. */
		hints->tx_attr->op_flags = FI_DELIVERY_COMPLETE;
	}
	if (rung == TT_FAB_WRITES_TELL)
		hints->domain_attr->cq_data_size = 4;
	return hints;
}

/* "tcp" asks for "tcp" or for "tcp;ofi_rxm". */
static bool
is_called(const char *provider, const char *name)
{
	const size_t length = strlen(name);

	return strcmp(provider, name) == 0 ||
	       (strncmp(provider, name, length) == 0 && provider[length] == ';' && strchr(name, ';') == NULL &&
		   strcmp(provider + length, ";ofi_rxm") == 0);
}

/* The place in the order of preference; -1 = not wanted. */
static int
grade(const struct wish *wish, const char *provider, uint32_t rung)
{
	for (size_t i = 0; i < TT_COUNT_OF(known); i++) {
		if (strcmp(provider, known[i].name) != 0)
			continue;
		if (rung == TT_FAB_WRITES_TELL && (known[i].flags & NO_DATA) != 0)
			return -1;
		if (wish->name[0] != '\0')
			return is_called(provider, wish->name) ? (int)i : -1;
		if (wish->rdma)
			return (known[i].flags & RDMA) != 0 ? (int)i : -1;
		return (known[i].flags & BY_NAME) == 0 ? (int)i : -1;
	}
	return wish->name[0] != '\0' && strcmp(provider, wish->name) == 0 ? (int)TT_COUNT_OF(known) : -1;
}

/* Where its IP address is among the interfaces allowed; 0 if it has none, -1 if it is none of them. */
static int
interface_of(const struct wish *wish, const struct fi_info *info)
{
	struct tt_address address = {0};
	struct sockaddr_storage storage = {0};

	if (info->src_addr == NULL || info->src_addrlen > sizeof(storage))
		return 0;
	memcpy(&storage, info->src_addr, info->src_addrlen);
	if (info->addr_format == FI_SOCKADDR && storage.ss_family != AF_INET && storage.ss_family != AF_INET6)
		return 0;
	if (info->addr_format != FI_SOCKADDR_IN && info->addr_format != FI_SOCKADDR_IN6 &&
	    info->addr_format != FI_SOCKADDR)
		return 0;
	tt_address_from_sockaddr(&storage, &address);
	for (int i = 0; i < wish->naddresses; i++)
		if (wish->addresses[i].family == address.family &&
		    memcmp(wish->addresses[i].ip, address.ip, address.family == 4 ? 4 : 16) == 0)
			return i;
	return -1;
}

/* Less is better; -1 = not to be used. */
static int
price(const struct wish *wish, const struct fi_info *info)
{
	const int interface = interface_of(wish, info);

	if (interface < 0 || (info->domain_attr->mr_mode & FI_MR_RAW) != 0)
		return -1;
	if (info->nic != NULL && info->nic->link_attr != NULL && info->nic->link_attr->state == FI_LINK_DOWN)
		return -1;
	return interface + (tt_fab_nic_is_near(info, wish->devices) ? 0 : 1000);
}

static bool
same_card(const struct fi_info *a, const struct fi_info *b)
{
	return strcmp(a->domain_attr->name, b->domain_attr->name) == 0;
}

/* Of one provider: the cheapest; of several cards that are equally near, this rank's turn. */
static const struct fi_info *
best_of(const struct wish *wish, const struct fi_info *list, const char *provider)
{
	const struct fi_info *best = NULL, *cards[16];
	int least = 0, n = 0;

	for (const struct fi_info *info = list; info != NULL; info = info->next) {
		const int cost = strcmp(info->fabric_attr->prov_name, provider) == 0 ? price(wish, info) : -1;

		if (cost < 0)
			continue;
		if (best == NULL || cost < least) {
			best = info;
			least = cost;
		}
	}
	if (best == NULL || best->nic == NULL)
		return best;
	for (const struct fi_info *info = list; info != NULL && n < 16; info = info->next) {
		const bool other = n == 0 || !same_card(info, cards[n - 1]);

		if (other && strcmp(info->fabric_attr->prov_name, provider) == 0 && info->nic != NULL &&
		    price(wish, info) / 1000 == least / 1000 && price(wish, info) >= 0 &&
		    info->addr_format == best->addr_format)
			cards[n++] = info;
	}
	return n > 1 ? cards[wish->turn % n] : best;
}

/* ---- the menu ---------------------------------------------------------------------------------------------------- */

static tutti_status
add(struct tt_fab_menu *menu, const struct fi_info *info, uint32_t rung)
{
	struct tt_fab_way *way = &menu->offer.ways[menu->offer.nways];
	struct fi_info *copy = fi_dupinfo(info);

	if (copy == NULL)
		return tt_fail(TUTTI_ERR_NOMEM, -1, "no memory for a libfabric provider");
	*way = (struct tt_fab_way){.version = info->fabric_attr->prov_version, .rung = rung};
	snprintf(way->provider, sizeof(way->provider), "%.31s", info->fabric_attr->prov_name);
	copy->tx_attr->op_flags = 0;
	menu->info[menu->offer.nways++] = copy;
	return TUTTI_OK;
}

static bool
is_listed(const struct tt_fab_menu *menu, const char *provider)
{
	for (uint32_t i = 0; i < menu->offer.nways; i++)
		if (strcmp(menu->offer.ways[i].provider, provider) == 0)
			return true;
	return false;
}

static tutti_status
add_all(struct tt_fab_menu *menu, const struct wish *wish, const struct fi_info *list, uint32_t rung)
{
	for (int at = 0; at <= (int)TT_COUNT_OF(known); at++) {
		for (const struct fi_info *info = list; info != NULL; info = info->next) {
			const char *provider = info->fabric_attr->prov_name;
			const struct fi_info *best;

			if (menu->offer.nways == TT_FAB_WAYS)
				return TUTTI_OK;
			if (grade(wish, provider, rung) != at || is_listed(menu, provider) || strlen(provider) > 31)
				continue;
			best = best_of(wish, list, provider);
			if (best != NULL)
				TT_TRY(add(menu, best, rung));
		}
	}
	return TUTTI_OK;
}

static tutti_status
ask(struct tt_fab_menu *menu, const struct wish *wish, uint32_t rung)
{
	struct fi_info *hints = hints_for(rung), *list = NULL;
	tutti_status status = TUTTI_OK;

	if (hints == NULL)
		return tt_fail(TUTTI_ERR_NOMEM, -1, "no memory to ask libfabric with");
	if (fi_getinfo(TT_FAB_API, NULL, NULL, 0, hints, &list) == 0)
		status = add_all(menu, wish, list, rung);
	fi_freeinfo(list);
	fi_freeinfo(hints);
	return status;
}

tutti_status
tt_fab_menu_open(const tutti_environment *env, struct tt_fab_menu *menu)
{
	return tt_fab_menu_open_at(env, TT_FAB_PCI_DEVICES, menu);
}

tutti_status
tt_fab_menu_open_at(const tutti_environment *env, const char *devices, struct tt_fab_menu *menu)
{
	struct wish wish;
	tutti_status status = TUTTI_OK;

	*menu = (struct tt_fab_menu){.offer = {.libfabric = fi_version()}};
	memcpy(menu->offer.magic, MAGIC, sizeof(menu->offer.magic));
	TT_TRY(read_wish(env, &wish));
	wish.devices = devices;
	for (uint32_t rung = wish.first_rung; rung <= wish.last_rung && menu->offer.nways == 0; rung++) {
		status = ask(menu, &wish, rung);
		if (status != TUTTI_OK) {
			tt_fab_menu_close(menu);
			return status;
		}
	}
	if (menu->offer.nways > 0)
		return TUTTI_OK;
	if (wish.name[0] != '\0')
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
		    "libfabric %u.%u has no provider \"%s\" that reaches other processes over the interfaces allowed "
		    "(`fi_info -l` lists what it has)",
		    FI_MAJOR(menu->offer.libfabric), FI_MINOR(menu->offer.libfabric), env->provider);
	return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "libfabric %u.%u finds no %s here", FI_MAJOR(menu->offer.libfabric),
	    FI_MINOR(menu->offer.libfabric), wish.rdma ? "RDMA card" : "provider that can be used");
}

void
tt_fab_menu_close(struct tt_fab_menu *menu)
{
	for (int i = 0; i < TT_FAB_WAYS; i++) {
		if (menu->info[i] != NULL)
			fi_freeinfo(menu->info[i]);
		menu->info[i] = NULL;
	}
	menu->offer.nways = 0;
}

/* ---- agreement --------------------------------------------------------------------------------------------------- */

static bool
same_way(const struct tt_fab_way *a, const struct tt_fab_way *b)
{
	return strncmp(a->provider, b->provider, sizeof(a->provider)) == 0 && a->version == b->version &&
	       a->rung == b->rung;
}

static bool
has_way(const struct tt_fab_offer *offer, const struct tt_fab_way *way)
{
	for (uint32_t i = 0; i < offer->nways && i < TT_FAB_WAYS; i++)
		if (same_way(&offer->ways[i], way))
			return true;
	return false;
}

static void
read_offer(const void *offers, int rank, struct tt_fab_offer *offer)
{
	memcpy(offer, (const char *)offers + (size_t)rank * TUTTI_OFFER_BYTES, sizeof(*offer));
	if (memcmp(offer->magic, MAGIC, sizeof(offer->magic)) != 0)
		offer->nways = 0;
	for (int i = 0; i < TT_FAB_WAYS; i++)
		offer->ways[i].provider[sizeof(offer->ways[i].provider) - 1] = '\0';
}

tutti_status
tt_fab_offers_agree(const void *offers, int nranks, struct tt_fab_way *way, char *why, size_t why_bytes)
{
	struct tt_fab_offer first, other = {.nways = 0};
	char mine[64] = "none", theirs[64] = "none";
	int without = 0;

	read_offer(offers, 0, &first);
	for (uint32_t i = 0; i < first.nways && i < TT_FAB_WAYS; i++) {
		int r = 1;

		for (; r < nranks; r++) {
			read_offer(offers, r, &other);
			if (!has_way(&other, &first.ways[i]))
				break;
		}
		if (r == nranks) {
			*way = first.ways[i];
			return TUTTI_OK;
		}
		without = without == 0 ? r : without;
	}
	read_offer(offers, without, &other);
	if (first.nways > 0)
		tt_fab_way_print(&first.ways[0], mine, sizeof(mine));
	if (other.nways > 0)
		tt_fab_way_print(&other.ways[0], theirs, sizeof(theirs));
	snprintf(why, why_bytes,
	    "ranks 0 and %d have no libfabric provider in the same version in common: the best of rank 0 is %s "
	    "(libfabric %u.%u), of rank %d %s (libfabric %u.%u)",
	    without, mine, FI_MAJOR(first.libfabric), FI_MINOR(first.libfabric), without, theirs,
	    FI_MAJOR(other.libfabric), FI_MINOR(other.libfabric));
	return TUTTI_ERR_UNSUPPORTED;
}

int
tt_fab_menu_find(const struct tt_fab_menu *menu, const struct tt_fab_way *way)
{
	for (uint32_t i = 0; i < menu->offer.nways; i++)
		if (same_way(&menu->offer.ways[i], way))
			return (int)i;
	return -1;
}

void
tt_fab_way_print(const struct tt_fab_way *way, char *text, size_t bytes)
{
	static const char *const rungs[] = {"", "", ", writes without data", ", messages only"};

	snprintf(text, bytes, "%.31s %u.%u%s", way->provider, FI_MAJOR(way->version), FI_MINOR(way->version),
	    rungs[way->rung & 3]);
}
