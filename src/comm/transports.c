/* SPDX-License-Identifier: Apache-2.0
 *
 * transports.c - names of transports, and loading a plug-in.
 */
#include "comm/transports.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/net.h"
#include "base/plugin.h"
#include "engine/ports.h"
#include "shm/shm.h"
#include "tcp/tcp.h"

#define FABRIC "fabric"
#define TOLD 8 /* addresses */

static const char *const built_in[TT_PLACES] = {[TT_PLACE_SHM] = "shm", [TT_PLACE_TCP] = "tcp"};

const tutti_transport *
tt_transport_at(int place, const tutti_transport *plugin)
{
	if (place == TT_PLACE_SHM)
		return tt_transport_shm();
	return place == TT_PLACE_TCP ? tt_transport_tcp() : plugin;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Is there a card that only a plug-in can drive? Looked up where drivers list their devices, because asking libfabric
 * costs as much as using it. */
static bool
has_card(void)
{
	static const char *const folders[] = {"/sys/class/infiniband", "/sys/class/cxi"};

	for (size_t i = 0; i < TT_COUNT_OF(folders); i++) {
		DIR *folder = opendir(folders[i]);
		bool found = false;
		const struct dirent *entry;

		while (folder != NULL && (entry = readdir(folder)) != NULL)
			found = found || entry->d_name[0] != '.';
		if (folder != NULL)
			closedir(folder);
		if (found)
			return true;
	}
	return false;
}

static tutti_status
unknown(const char *name, size_t length)
{
	return tt_fail(TUTTI_ERR_ARGUMENT, -1,
	    "there is no transport \"%.*s\"; there are: shm, tcp, and as plug-ins " FABRIC
	    " and any tutti-NAME.so that is installed",
	    (int)(length < 64 ? length : 64), name);
}

static bool
is_plain(const char *name, size_t length)
{
	return length > 0 && length < TT_TRANSPORT_NAME &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") >= length;
}

static tutti_status
file_of(const struct tt_transport_wish *wish, char *path, size_t bytes)
{
	char file[TT_TRANSPORT_NAME + 16], built[TT_TRANSPORT_NAME + 32];

	snprintf(file, sizeof(file), "tutti-%s.so", wish->plugin);
	snprintf(built, sizeof(built), "../transports/%s/", wish->plugin);
	return tt_plugin_find(file, wish->folder, built, path, bytes);
}

/* A name that is not built in: the plug-in of that name. That of a plug-in which Tutti does not know must be there. */
static tutti_status
wish_plugin(struct tt_transport_wish *wish, const char *name, size_t length)
{
	char path[PATH_MAX];

	if (!is_plain(name, length))
		return unknown(name, length);
	if (wish->plugin[0] != '\0' && (strlen(wish->plugin) != length || memcmp(wish->plugin, name, length) != 0))
		return tt_fail(TUTTI_ERR_ARGUMENT, -1,
		    "\"%s\" and \"%.*s\" are both plug-ins: a communicator uses one of them at most, beside shm and "
		    "tcp",
		    wish->plugin, (int)length, name);
	memcpy(wish->plugin, name, length);
	wish->plugin[length] = '\0';
	if (strcmp(wish->plugin, FABRIC) != 0 && file_of(wish, path, sizeof(path)) != TUTTI_OK)
		return unknown(name, length);
	wish->set |= TT_TRANSPORT_PLUGIN;
	return TUTTI_OK;
}

static tutti_status
wish_one(struct tt_transport_wish *wish, const char *name, size_t length)
{
	for (int place = 0; place < TT_PLACES; place++) {
		if (built_in[place] == NULL || strlen(built_in[place]) != length ||
		    memcmp(built_in[place], name, length) != 0)
			continue;
		wish->set |= 1u << place;
		return TUTTI_OK;
	}
	return wish_plugin(wish, name, length);
}

tutti_status
tt_transports_wish(const char *text, const char *folder, const char *provider, struct tt_transport_wish *wish)
{
	*wish = (struct tt_transport_wish){.folder = folder, .provider = provider};
	if (text == NULL) {
		wish->automatic = true;
		wish->set = TT_TRANSPORT_SHM | TT_TRANSPORT_TCP;
		if (provider == NULL && !has_card())
			return TUTTI_OK;
		wish->provider = provider != NULL ? provider : "rdma";
		return wish_plugin(wish, FABRIC, strlen(FABRIC));
	}
	for (const char *p = text;; p++) {
		const size_t length = strcspn(p, ",");

		TT_TRY(wish_one(wish, p, length));
		p += length;
		if (*p == '\0')
			return TUTTI_OK;
	}
}

/* ---- the plug-in ------------------------------------------------------------------------------------------------- */

static tutti_status
load(const struct tt_transport_wish *wish, const tutti_transport **plugin)
{
	tutti_transport_entry entry;
	const tutti_transport *table;
	char path[PATH_MAX];
	void *symbol;

	TT_TRY(file_of(wish, path, sizeof(path)));
	TT_TRY(tt_plugin_load(path, TUTTI_TRANSPORT_ENTRY, &symbol));
	/* A function's address comes as a pointer to an object. */
	memcpy(&entry, &symbol, sizeof(entry));
	table = entry();
	if (table == NULL || table->abi != TUTTI_TRANSPORT_ABI || table->size < offsetof(tutti_transport, offer))
		return tt_fail(TUTTI_ERR_VERSION, -1,
		    "%s was made for version %u of the interface for transports, but this library has version %u",
		    path, table == NULL ? 0 : (unsigned)table->abi, (unsigned)TUTTI_TRANSPORT_ABI);
	if (table->name == NULL || strcmp(table->name, wish->plugin) != 0)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "%s has the transport \"%s\" in it, not \"%s\"", path,
		    table->name == NULL ? "" : table->name, wish->plugin);
	*plugin = table;
	return TUTTI_OK;
}

static bool
has_offers(const tutti_transport *plugin)
{
	return plugin->size >= offsetof(tutti_transport, why) && plugin->offer != NULL && plugin->agree != NULL;
}

static tutti_status
make_offer(const tutti_transport *plugin, const tutti_environment *env, struct tt_transport_card *card)
{
	char why[256] = "";
	tutti_status status;

	snprintf(card->name, sizeof(card->name), "%s", plugin->name);
	if (has_offers(plugin))
		return tt_transport_failed(plugin, plugin->offer(env, card->offer));
	status = plugin->probe(env, why, sizeof(why));
	return status == TUTTI_OK ? TUTTI_OK : tt_fail(status, -1, "%s", why);
}

tutti_status
tt_transports_load(struct tt_transport_wish *wish, const tutti_environment *env, const struct tt_log *log,
    const tutti_transport **plugin, struct tt_transport_card *card)
{
	tutti_status status = load(wish, plugin);

	memset(card, 0, sizeof(*card));
	if (status == TUTTI_OK)
		status = make_offer(*plugin, env, card);
	if (status == TUTTI_OK)
		return TUTTI_OK;
	*plugin = NULL;
	card->name[0] = '\0';
	if ((wish->set & TT_TRANSPORT_TCP) == 0)
		return status;
	/* Nobody asked for it where a card alone was the reason, and then a card that cannot be used is no news. */
	tt_log(log, wish->automatic && strcmp(wish->provider, "rdma") == 0 ? TT_LOG_INFO : TT_LOG_WARN,
	    "%s; tcp takes its place", tt_last_error()->message);
	wish->set &= ~TT_TRANSPORT_PLUGIN;
	return TUTTI_OK;
}

tutti_status
tt_transports_agree(
    const tutti_transport *plugin, const tutti_environment *env, const struct tt_log *log, uint32_t *set)
{
	char why[256] = "";

	if (!has_offers(plugin) || plugin->agree(env, why, sizeof(why)) == TUTTI_OK)
		return TUTTI_OK;
	if ((*set & TT_TRANSPORT_TCP) == 0)
		return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "%s", why);
	if (env->rank == 0)
		tt_log(log, TT_LOG_WARN, "transport %s: %s; tcp takes its place", plugin->name, why);
	*set &= ~TT_TRANSPORT_PLUGIN;
	return TUTTI_OK;
}

void
tt_transports_tell(const char *interfaces, const struct tt_log *log)
{
	struct tt_interface found[TOLD];
	char text[512] = "";
	size_t used = 0;
	int n = 0;

	if (log->level < TT_LOG_INFO || tt_interfaces_describe(interfaces, found, TOLD, &n) != TUTTI_OK)
		return;
	for (int i = 0; i < n && used + 1 < sizeof(text); i++) {
		char address[64], speed[32] = "speed unknown";

		tt_address_print(&found[i].address, address, sizeof(address));
		*strrchr(address, ':') = '\0';
		if (found[i].speed_mbit > 0)
			snprintf(speed, sizeof(speed), "%ld Mbit/s", found[i].speed_mbit);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s (%s)", i > 0 ? ", " : "",
		    found[i].name, address, speed);
	}
	tt_log(log, TT_LOG_INFO, "data over TCP goes by %s, %s; `tutti env` says why", text,
	    interfaces != NULL ? "as TUTTI_INTERFACES says" : "the quickest first");
}
