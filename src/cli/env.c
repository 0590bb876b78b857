/* SPDX-License-Identifier: Apache-2.0
 *
 * env.c - `tutti env`: every variable, its value, where that came from, and what it means.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/net.h"
#include "base/plugin.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "profile/profile.h"

#define MOST_UNKNOWN 64
#define MOST_INTERFACES 64

static const char help[] =
    "Usage: tutti env\n"
    "\n"
    "Lists every environment variable that Tutti knows: its value now, where the value came from, and what\n"
    "it means. Variables that begin with TUTTI_ but are not known are named too: they have no effect. Behind\n"
    "them are the plug-ins and where they were found, then the network cards: which carry data to other\n"
    "hosts, and why the others do not.\n"
    "\n"
    "Then it lists the speeds of this machine that Tutti chooses algorithms by, and where each came from:\n"
    "assumed, derived from others, measured at first use, or by tutti tune.\n"
    "\n"
    "A program that fills in a field of tutti_config overrides the variable of the same meaning.\n"
    "\n"
    "  -h, --help   show this text\n"
    "\n"
    "Exit status: 0, or 1 if a value cannot be read.\n";

static void
print_line(const char *variable, const char *value, const char *from, const struct tt_setting_info *info)
{
	printf("%-22s %-16s %-12s %s", variable, value, from, info->meaning);
	if (info->values[0] != '\0')
		printf(" (%s)", info->values);
	putchar('\n');
}

static void
print_known(const struct tt_setting_info *info)
{
	const char *text = tt_setting_environment(info);

	if (text != NULL)
		print_line(info->variable, text[0] != '\0' ? text : "(empty)", "environment", info);
	else
		print_line(info->variable, info->initial[0] != '\0' ? info->initial : "-", "default", info);
}

static void
print_given(const struct tt_setting_info *info)
{
	const char *text = tt_setting_environment(info);

	print_line(info->variable, text != NULL ? text : "-", text != NULL ? "environment" : "not set", info);
}

/* Whether a part that may be missing is here. */
static void
print_plugin(const char *file, const char *built, const char *meaning)
{
	const char *folder = tt_setting_environment(tt_setting_info(TT_SET_PLUGINS));
	char path[PATH_MAX];

	if (tt_plugin_find(file, folder, built, path, sizeof path) == TUTTI_OK)
		printf("%-22s %-16s %-12s %s\n", file, path, "plug-in", meaning);
	else
		printf("%-22s %-16s %-12s %s: %s\n", file, "-", "not found", meaning, tt_last_error()->message);
}

/* The entries are NAME=VALUE. */
static void
print_unknown(void)
{
	static const struct tt_setting_info info = {
	    "", "UNKNOWN: Tutti has no such variable, it has no effect", "", ""};
	const char *entries[MOST_UNKNOWN];
	int n = tt_settings_unknown(entries, MOST_UNKNOWN);
	char name[128];

	for (int i = 0; i < n; i++) {
		const char *equals = strchr(entries[i], '=');
		int length = equals != NULL ? (int)(equals - entries[i]) : (int)strlen(entries[i]);

		snprintf(name, sizeof name, "%.*s", length, entries[i]);
		print_line(name, equals != NULL ? equals + 1 : "", "environment", &info);
		tt_complain("env", "warning: there is no variable %s", name);
	}
}

/* Which of this host's cards would carry data, and why. */
static void
print_network(const struct tt_settings *settings)
{
	struct tt_interface found[MOST_INTERFACES];
	int n = 0;

	printf("\n%-22s %-40s %-12s %s\n", "network card", "address", "speed",
	    "use for data (TUTTI_INTERFACES chooses)");
	if (tt_interfaces_explain(settings->text[TT_SET_INTERFACES], found, MOST_INTERFACES, &n) != TUTTI_OK) {
		tt_complain("env", "%s", tt_last_error()->message);
		return;
	}
	for (int i = 0; i < n; i++) {
		char address[64], speed[32] = "unknown", use[64];

		tt_address_print(&found[i].address, address, sizeof address);
		/* The port, which is not chosen yet. */
		*strrchr(address, ':') = '\0';
		if (found[i].speed_mbit > 0)
			snprintf(speed, sizeof speed, "%ld Mbit/s", found[i].speed_mbit);
		snprintf(
		    use, sizeof use, "%s", found[i].number == 0 ? "first choice" : "shares large messages with it");
		printf("%-22s %-40s %-12s %s%s\n", found[i].name, address, speed,
		    found[i].unused != NULL ? "none: " : "", found[i].unused != NULL ? found[i].unused : use);
	}
}

/* What the selector would know of this machine; nothing is measured for it. */
static int
print_speeds(const struct tt_settings *settings)
{
	struct tt_profile profile, found;
	char path[TT_PROFILE_PATH];
	const char *given = settings->text[TT_SET_PROFILE], *from = "nothing measured here yet";

	tt_profile_init(&profile);
	if (given != NULL && strcmp(given, "assumed") != 0) {
		if (tt_profile_read(given, &found) != TUTTI_OK)
			return tt_complain("env", "%s", tt_last_error()->message);
	} else if (given != NULL || !tt_profile_path(profile.host, false, path, sizeof path) ||
		   access(path, R_OK) != 0 || tt_profile_read(path, &found) != TUTTI_OK) {
		found.host = ~profile.host;
	}
	if (found.host == profile.host) {
		profile = found;
		tt_profile_complete(&profile);
		from = profile.from;
	} else if (given != NULL) {
		from = strcmp(given, "assumed") == 0 ? "TUTTI_PROFILE=assumed"
						     : "the profile is of another kind of host";
	}
	printf("\n%-22s %-16s %-12s %s\n", "speed of this machine", "value", "from", "meaning");
	for (int i = 0; i < TT_CONSTANTS; i++) {
		const struct tt_constant_info *info = tt_constant_info((enum tt_constant)i);
		char number[32], value[64];

		tt_constant_print(&profile.constants, (enum tt_constant)i, number, sizeof number);
		snprintf(value, sizeof value, "%s %s", number, info->unit);
		printf("%-22s %-16s %-12s %s\n", info->name, value,
		    tt_constant_source_name((enum tt_constant_source)profile.constants.source[i]), info->meaning);
	}
	printf("profile: %s\n", from);
	return TT_EXIT_OK;
}

int
tt_env_main(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const struct tt_setting_info *info;
	struct tt_settings settings;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option != 'h')
			return tt_usage_getopt("env", argv, option);
		fputs(help, stdout);
		return TT_EXIT_OK;
	}
	if (optind < argc)
		return tt_usage("env", "'%s' is not expected: this command takes no arguments", argv[optind]);
	printf("%-22s %-16s %-12s %s\n", "variable", "value", "from", "meaning (values)");
	for (int i = 0; i < TT_SETTINGS; i++)
		print_known(tt_setting_info((enum tt_setting)i));
	for (size_t i = 0; (info = tt_setting_given(i)) != NULL; i++)
		print_given(info);
	print_plugin("tutti-fabric.so", "../../transports/fabric/", "the transport fabric");
	print_plugin("tutti-pmix.so", "../bootstrap/pmix/", "exchange under Open MPI and Slurm");
	print_unknown();
	if (tt_settings_init(&settings, NULL) != TUTTI_OK)
		return tt_complain("env", "%s", tt_last_error()->message);
	print_network(&settings);
	status = print_speeds(&settings);
	tt_settings_fini(&settings);
	return status;
}
