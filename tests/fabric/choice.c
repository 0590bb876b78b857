/* SPDX-License-Identifier: Apache-2.0
 *
 * choice.c - which provider and which card the ranks take.
 *
 * libfabric is asked through the fi_getinfo below, which lists cards that are not here; the cores beside them stand in
 * a folder that is made for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rdma/fi_domain.h>
#include <rdma/fi_errno.h>

#include "fabric/choice.h"
#include "fabric/nic.h"

#define CARDS 4

struct card {
	const char *provider, *domain;
	int bus; /* PCI address; -1: no card */
	bool down, raw;
};

static struct card cards[CARDS];
static int ncards;
static struct fid_nic nics[CARDS];
static struct fi_bus_attr buses[CARDS];
static struct fi_link_attr links[CARDS];
static char folder[64];

/* ---- libfabric --------------------------------------------------------------------------------------------------- */

static int
nic_close(struct fid *fid)
{
	(void)fid;
	return 0;
}

static int
nic_control(struct fid *fid, int command, void *argument)
{
	if (command != FI_DUP)
		return -FI_ENOSYS;
	*(struct fid **)argument = fid;
	return 0;
}

static struct fi_ops nic_ops = {.size = sizeof(nic_ops), .close = nic_close, .control = nic_control};

static struct fi_info *
describe(int i)
{
	struct fi_info *info = fi_allocinfo();

	if (info == NULL)
		abort();
	info->fabric_attr->prov_name = strdup(cards[i].provider);
	info->fabric_attr->prov_version = FI_VERSION(7, 3);
	info->domain_attr->name = strdup(cards[i].domain);
	info->domain_attr->mr_mode = cards[i].raw ? FI_MR_RAW : 0;
	if (cards[i].bus < 0)
		return info;
	buses[i] = (struct fi_bus_attr){.bus_type = FI_BUS_PCI};
	buses[i].attr.pci.bus_id = (uint8_t)cards[i].bus;
	links[i] = (struct fi_link_attr){.state = cards[i].down ? FI_LINK_DOWN : FI_LINK_UP};
	nics[i] = (struct fid_nic){
	    .fid = {.fclass = FI_CLASS_NIC, .ops = &nic_ops}, .bus_attr = &buses[i], .link_attr = &links[i]};
	info->nic = &nics[i];
	return info;
}

int
fi_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags, const struct fi_info *hints,
    struct fi_info **list)
{
	struct fi_info *first = NULL, **last = &first;

	(void)version;
	(void)node;
	(void)service;
	(void)flags;
	(void)hints;
	for (int i = 0; i < ncards; i++) {
		*last = describe(i);
		last = &(*last)->next;
	}
	*list = first;
	return first != NULL ? 0 : -FI_ENODATA;
}

/* ---- the machine ------------------------------------------------------------------------------------------------- */

/* The cores beside the card on that bus. */
static void
beside(int bus, const char *cores)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/0000:%02x:00.0", folder, (unsigned)bus);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/0000:%02x:00.0/local_cpulist", folder, (unsigned)bus);
	file = fopen(path, "we");
	if (file == NULL)
		abort();
	fprintf(file, "%s\n", cores);
	fclose(file);
}

static void
clean_up(void)
{
	char path[128];

	for (int bus = 0; bus < 8; bus++) {
		snprintf(path, sizeof(path), "%s/0000:%02x:00.0/local_cpulist", folder, (unsigned)bus);
		unlink(path);
		snprintf(path, sizeof(path), "%s/0000:%02x:00.0", folder, (unsigned)bus);
		rmdir(path);
	}
	rmdir(folder);
}

/* The first core that this thread may use, or may not. */
static const char *
core(bool allowed)
{
	static char text[16];
	cpu_set_t set;
	int cpu = 0;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		abort();
	while (cpu < CPU_SETSIZE - 1 && (CPU_ISSET(cpu, &set) != 0) != allowed)
		cpu++;
	snprintf(text, sizeof(text), "%d", cpu);
	return text;
}

/* Does the rank take that card of that provider first of all? */
static bool
takes(int rank, const char *wanted, const char *provider, const char *domain)
{
	static const int local[] = {0, 1, 2, 3};
	const tutti_environment env = {.size = sizeof(env),
	    .rank = rank,
	    .nranks = 4,
	    .local_ranks = local,
	    .nlocal = 4,
	    .interfaces = "lo",
	    .provider = wanted};
	struct tt_fab_menu menu;
	bool good;

	if (tt_fab_menu_open_at(&env, folder, &menu) != TUTTI_OK)
		return domain == NULL;
	good = domain != NULL && strcmp(menu.offer.ways[0].provider, provider) == 0 &&
	       strcmp(menu.info[0]->domain_attr->name, domain) == 0;
	tt_fab_menu_close(&menu);
	return good;
}

static void
list(int n, const struct card *from)
{
	memcpy(cards, from, (size_t)n * sizeof(cards[0]));
	ncards = n;
}

/* ---- promises ---------------------------------------------------------------------------------------------------- */

static bool
the_nearest_card_is_taken(void)
{
	const struct card far_first[] = {{.provider = "verbs;ofi_rxm", .domain = "a", .bus = 1},
	    {.provider = "verbs;ofi_rxm", .domain = "b", .bus = 2}};

	list(2, far_first);
	beside(1, core(false));
	beside(2, core(true));
	if (!takes(0, NULL, "verbs;ofi_rxm", "b") || !takes(1, NULL, "verbs;ofi_rxm", "b"))
		return false;
	beside(1, core(true));
	beside(2, core(false));
	return takes(0, NULL, "verbs;ofi_rxm", "a") && takes(1, NULL, "verbs;ofi_rxm", "a");
}

static bool
equally_near_cards_are_shared_out(void)
{
	const struct card three[] = {{.provider = "verbs;ofi_rxm", .domain = "a", .bus = 1},
	    {.provider = "verbs;ofi_rxm", .domain = "b", .bus = 2},
	    {.provider = "verbs;ofi_rxm", .domain = "c", .bus = 3}};

	list(3, three);
	beside(1, core(true));
	beside(2, core(false));
	beside(3, core(true));
	return takes(0, NULL, "verbs;ofi_rxm", "a") && takes(1, NULL, "verbs;ofi_rxm", "c") &&
	       takes(2, NULL, "verbs;ofi_rxm", "a") && takes(3, NULL, "verbs;ofi_rxm", "c");
}

static bool
a_card_that_is_down_is_not_taken(void)
{
	const struct card two[] = {{.provider = "verbs;ofi_rxm", .domain = "a", .bus = 1, .down = true},
	    {.provider = "verbs;ofi_rxm", .domain = "b", .bus = 2}};

	list(2, two);
	beside(1, core(true));
	beside(2, core(false));
	return takes(0, NULL, "verbs;ofi_rxm", "b") && takes(1, NULL, "verbs;ofi_rxm", "b");
}

static bool
raw_keys_are_not_for_us(void)
{
	const struct card two[] = {{.provider = "cxi", .domain = "a", .bus = 1, .raw = true},
	    {.provider = "verbs;ofi_rxm", .domain = "b", .bus = 2}};

	list(2, two);
	return takes(0, NULL, "verbs;ofi_rxm", "b");
}

static bool
the_better_provider_is_taken_wherever_it_stands(void)
{
	const struct card all[] = {{.provider = "shm", .domain = "s", .bus = -1},
	    {.provider = "net", .domain = "n", .bus = -1}, {.provider = "verbs;ofi_rxm", .domain = "v", .bus = 1},
	    {.provider = "efa", .domain = "e", .bus = 2}};

	list(4, all);
	return takes(0, NULL, "efa", "e") && takes(0, "verbs", "verbs;ofi_rxm", "v") && takes(0, "net", "net", "n") &&
	       takes(0, "shm", "shm", "s") && takes(0, "psm3", "psm3", NULL);
}

static bool
some_are_taken_by_name_only(void)
{
	const struct card all[] = {{.provider = "shm", .domain = "s", .bus = -1},
	    {.provider = "sockets", .domain = "k", .bus = -1}, {.provider = "udp;ofi_rxd", .domain = "u", .bus = -1},
	    {.provider = "net", .domain = "n", .bus = -1}};

	list(3, all);
	if (!takes(0, NULL, "", NULL) || !takes(0, "shm", "shm", "s"))
		return false;
	list(4, all);
	return takes(0, NULL, "net", "n") && takes(0, "rdma", "", NULL);
}

/* What rank `rank` says: its only way. */
static void
say(unsigned char *offers, int rank, const char *provider, uint32_t version, uint32_t rung)
{
	const struct card one[] = {{.provider = "net", .domain = "n", .bus = -1}};
	const tutti_environment env = {.size = sizeof(env), .nranks = 1, .interfaces = "lo"};
	struct tt_fab_menu menu;

	list(1, one);
	if (tt_fab_menu_open(&env, &menu) != TUTTI_OK)
		abort();
	menu.offer.nways = 1;
	menu.offer.ways[0] = (struct tt_fab_way){.version = version, .rung = rung};
	snprintf(menu.offer.ways[0].provider, sizeof(menu.offer.ways[0].provider), "%s", provider);
	memcpy(offers + rank * TUTTI_OFFER_BYTES, &menu.offer, sizeof(menu.offer));
	tt_fab_menu_close(&menu);
}

/* Do three ranks of which rank 2 says this disagree, in a sentence with that in it? */
static bool
disagree(const char *provider, uint32_t version, uint32_t rung, const char *what)
{
	static unsigned char offers[3 * TUTTI_OFFER_BYTES];
	struct tt_fab_way way;
	char why[256] = "";
	bool good;

	for (int r = 0; r < 3; r++)
		say(offers, r, "net", FI_VERSION(117, 0), TT_FAB_WRITES_TELL);
	if (tt_fab_offers_agree(offers, 3, &way, why, sizeof(why)) != TUTTI_OK || strcmp(way.provider, "net") != 0)
		return false;
	say(offers, 2, provider, version, rung);
	good = tt_fab_offers_agree(offers, 3, &way, why, sizeof(why)) == TUTTI_ERR_UNSUPPORTED;
	printf("# %s\n", why);
	return good && strstr(why, "ranks 0 and 2") != NULL && strstr(why, "net 117.0") != NULL &&
	       strstr(why, what) != NULL;
}

static bool
another_version_is_no_agreement(void)
{
	return disagree("net", FI_VERSION(118, 1), TT_FAB_WRITES_TELL, "net 118.1");
}

static bool
another_provider_is_no_agreement(void)
{
	return disagree("tcp;ofi_rxm", FI_VERSION(117, 0), TT_FAB_WRITES_TELL, "tcp;ofi_rxm 117.0");
}

static bool
another_rung_is_no_agreement(void)
{
	return disagree("net", FI_VERSION(117, 0), TT_FAB_MESSAGES, "net 117.0, messages only");
}

static bool
lists_of_cores_are_read(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(8, &set);
	return tt_fab_cpulist_meets("8", &set) && tt_fab_cpulist_meets("0-3,8,10-11\n", &set) &&
	       tt_fab_cpulist_meets("7-9", &set) && !tt_fab_cpulist_meets("0-7,9-100000", &set) &&
	       !tt_fab_cpulist_meets("", &set) && !tt_fab_cpulist_meets("x8", &set);
}

int
main(void)
{
	static const struct {
		const char *name;
		bool (*holds)(void);
	} promises[] = {
	    {"the nearest card is taken", the_nearest_card_is_taken},
	    {"equally near cards are shared out", equally_near_cards_are_shared_out},
	    {"a card that is down is not taken", a_card_that_is_down_is_not_taken},
	    {"raw keys are not for us", raw_keys_are_not_for_us},
	    {"the better provider is taken wherever it stands", the_better_provider_is_taken_wherever_it_stands},
	    {"some are taken by name only", some_are_taken_by_name_only},
	    {"another version is no agreement", another_version_is_no_agreement},
	    {"another provider is no agreement", another_provider_is_no_agreement},
	    {"another rung is no agreement", another_rung_is_no_agreement},
	    {"lists of cores are read", lists_of_cores_are_read},
	};
	const char *tmp = getenv("TMPDIR");
	int failed = 0;

	snprintf(folder, sizeof(folder), "%.40s/choice.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(folder) == NULL) {
		perror("choice: cannot make a folder");
		return 1;
	}
	printf("1..%zu\n", TT_COUNT_OF(promises));
	for (size_t i = 0; i < TT_COUNT_OF(promises); i++) {
		const bool good = promises[i].holds();

		failed += !good;
		printf("%s %zu - %s\n", good ? "ok" : "not ok", i + 1, promises[i].name);
		fflush(stdout);
	}
	clean_up();
	return failed == 0 ? 0 : 1;
}
