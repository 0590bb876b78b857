/* SPDX-License-Identifier: Apache-2.0
 *
 * test_settings.c - who beats whom, and what is refused in which words.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/settings.h"

static struct tt_settings settings;

static void
clear_environment(void)
{
	for (int i = 0; i < TT_SETTINGS; i++)
		unsetenv(tt_setting_info((enum tt_setting)i)->variable);
}

static void
free_settings(void)
{
	tt_settings_fini(&settings);
}

TestSuite(settings, .init = clear_environment, .fini = free_settings);

static bool
message_has(const char *text)
{
	return strstr(tt_last_error()->message, text) != NULL;
}

Test(settings, every_setting_has_a_name_a_meaning_and_values)
{
	for (int i = 0; i < TT_SETTINGS; i++) {
		const struct tt_setting_info *info = tt_setting_info((enum tt_setting)i);

		cr_assert(info->variable != NULL, "setting %d is missing in the table", i);
		cr_assert(strncmp(info->variable, "TUTTI_", 6) == 0);
		cr_assert(info->meaning != NULL && info->values != NULL && info->initial != NULL);
	}
}

Test(settings, without_anything_said_the_defaults_hold)
{
	cr_assert(eq(int, tt_settings_init(&settings, NULL), TUTTI_OK));
	cr_assert(eq(int, settings.log_level, TT_LOG_WARN));
	cr_assert(eq(int, settings.log_fd, STDERR_FILENO));
	cr_assert(eq(i64, settings.timeout_ms, 300000));
	cr_assert(eq(int, settings.reproducible, 0));
	cr_assert(eq(int, settings.progress_thread, 0));
	cr_assert(eq(sz, settings.staging_bytes, (size_t)4 << 20));
	cr_assert(settings.name == NULL);
	cr_assert(settings.text[TT_SET_TRANSPORTS] == NULL);
	cr_assert(eq(int, settings.source[TT_SET_TIMEOUT_MS], TT_FROM_DEFAULT));
}

Test(settings, the_environment_beats_the_default_and_the_config_beats_both)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	setenv("TUTTI_TIMEOUT_MS", "1000", 1);
	setenv("TUTTI_TRANSPORTS", "tcp", 1);
	setenv("TUTTI_REPRODUCIBLE", "1", 1);
	setenv("TUTTI_INTERFACES", "eth0", 1);
	config.timeout_ms = -1;
	config.transports = "shm";
	config.reproducible = -1;
	config.progress_thread = 1;
	config.name = "world";
	cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_OK));
	cr_assert(eq(i64, settings.timeout_ms, -1));
	cr_assert(eq(int, settings.source[TT_SET_TIMEOUT_MS], TT_FROM_CONFIG));
	cr_assert(strcmp(settings.text[TT_SET_TRANSPORTS], "shm") == 0);
	cr_assert(eq(int, settings.reproducible, 0));
	cr_assert(eq(int, settings.progress_thread, 1));
	cr_assert(strcmp(settings.text[TT_SET_INTERFACES], "eth0") == 0);
	cr_assert(eq(int, settings.source[TT_SET_INTERFACES], TT_FROM_ENVIRONMENT));
	cr_assert(strcmp(settings.name, "world") == 0);
	cr_assert(strcmp(tt_settings_log(&settings, 4).name, "world") == 0);
	cr_assert(eq(int, tt_settings_log(&settings, 4).rank, 4));
}

Test(settings, a_value_that_does_not_parse_is_named_with_its_variable)
{
	static const char *const bad[][2] = {{"TUTTI_LOG", "loud"}, {"TUTTI_TIMEOUT_MS", "0"},
	    {"TUTTI_TIMEOUT_MS", "-2"}, {"TUTTI_TIMEOUT_MS", "5s"}, {"TUTTI_TIMEOUT_MS", " 5"},
	    {"TUTTI_TIMEOUT_MS", "99999999999999999999"}, {"TUTTI_REPRODUCIBLE", "maybe"},
	    {"TUTTI_PROGRESS_THREAD", "2"}, {"TUTTI_PORT_RANGE", "20100-20000"}, {"TUTTI_PORT_RANGE", "70000"},
	    {"TUTTI_CONNECTIONS", "0"}, {"TUTTI_CONNECTIONS", "17"}, {"TUTTI_CONNECTIONS", "many"},
	    {"TUTTI_CHECKSUM", "2"}, {"TUTTI_CMA", "maybe"}, {"TUTTI_STAGING", "lots"}, {"TUTTI_STAGING", "16"},
	    {"TUTTI_STAGING", "1000000T"}};

	for (size_t i = 0; i < TT_COUNT_OF(bad); i++) {
		setenv(bad[i][0], bad[i][1], 1);
		cr_assert(
		    eq(int, tt_settings_init(&settings, NULL), TUTTI_ERR_ARGUMENT), "%s=%s", bad[i][0], bad[i][1]);
		cr_assert(message_has(bad[i][0]), "%s", tt_last_error()->message);
		cr_assert(message_has(bad[i][1]), "%s", tt_last_error()->message);
		unsetenv(bad[i][0]);
	}
}

Test(settings, a_value_that_does_not_parse_is_named_although_the_config_replaces_it)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	config.timeout_ms = 1000;
	setenv("TUTTI_TIMEOUT_MS", "5s", 1);
	cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_ERR_ARGUMENT));
	cr_assert(message_has("TUTTI_TIMEOUT_MS"), "%s", tt_last_error()->message);
	unsetenv("TUTTI_TIMEOUT_MS");
	cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_OK));
	tt_settings_fini(&settings);
}

Test(settings, an_empty_value_is_an_error_and_not_a_default)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	for (int i = 0; i < TT_SETTINGS; i++) {
		const char *const variable = tt_setting_info((enum tt_setting)i)->variable;

		setenv(variable, "", 1);
		cr_assert(eq(int, tt_settings_init(&settings, NULL), TUTTI_ERR_ARGUMENT));
		cr_assert(message_has(variable));
		unsetenv(variable);
	}
	config.transports = "";
	cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_ERR_ARGUMENT));
}

Test(settings, a_config_field_out_of_range_is_refused)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	config.timeout_ms = -5;
	cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_ERR_ARGUMENT));
	config.timeout_ms = 0;
	config.reproducible = 2;
	cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_ERR_ARGUMENT));
	cr_assert(message_has("TUTTI_REPRODUCIBLE"));
}

Test(settings, a_config_without_a_size_is_refused)
{
	static const size_t sizes[] = {0, 1, 4, 12, SIZE_MAX};
	tutti_config config = TUTTI_CONFIG_INIT;

	for (size_t i = 0; i < TT_COUNT_OF(sizes); i++) {
		config.size = sizes[i];
		cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_ERR_ARGUMENT));
		cr_assert(message_has("TUTTI_CONFIG_INIT"));
	}
}

Test(settings, an_older_programs_shorter_config_leaves_the_rest_unset)
{
	tutti_config config = TUTTI_CONFIG_INIT;

	config.timeout_ms = 77;
	config.transports = "behind the end: must not be read";
	config.size = offsetof(tutti_config, transports);
	cr_assert(eq(int, tt_settings_init(&settings, &config), TUTTI_OK));
	cr_assert(eq(i64, settings.timeout_ms, 77));
	cr_assert(settings.text[TT_SET_TRANSPORTS] == NULL);
}

Test(settings, a_newer_programs_longer_config_is_accepted_only_if_the_rest_is_unset)
{
	struct {
		tutti_config config;
		char later[24];
	} newer = {.config = TUTTI_CONFIG_INIT};

	newer.config.size = sizeof(newer);
	newer.config.timeout_ms = 77;
	cr_assert(eq(int, tt_settings_init(&settings, &newer.config), TUTTI_OK));
	cr_assert(eq(i64, settings.timeout_ms, 77));
	tt_settings_fini(&settings);
	newer.later[23] = 1;
	cr_assert(eq(int, tt_settings_init(&settings, &newer.config), TUTTI_ERR_VERSION));
}

Test(settings, a_log_file_is_appended_to_and_closed_on_exec)
{
	char path[] = "/tmp/tutti-settings-XXXXXX", text[200];
	const int fd = mkstemp(path);
	ssize_t n;

	cr_assert(write(fd, "before\n", 7) == 7);
	setenv("TUTTI_LOG_FILE", path, 1);
	cr_assert(eq(int, tt_settings_init(&settings, NULL), TUTTI_OK));
	unlink(path);
	cr_assert(fcntl(settings.log_fd, F_GETFD) == FD_CLOEXEC);
	const struct tt_log log = tt_settings_log(&settings, 2);

	tt_log(&log, TT_LOG_WARN, "after");
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	cr_assert(strcmp(text, "before\ntutti[2] warn: after\n") == 0);
	const int owned = settings.log_fd;

	tt_settings_fini(&settings);
	cr_assert(fcntl(owned, F_GETFD) < 0);
	close(fd);
}

Test(settings, a_log_file_that_cannot_be_opened_is_named)
{
	setenv("TUTTI_LOG_FILE", "/no/such/folder/log", 1);
	cr_assert(eq(int, tt_settings_init(&settings, NULL), TUTTI_ERR_SYSTEM));
	cr_assert(message_has("/no/such/folder/log"));
}

Test(settings, fini_twice_is_fine_and_leaves_stderr_open)
{
	cr_assert(eq(int, tt_settings_init(&settings, NULL), TUTTI_OK));
	tt_settings_fini(&settings);
	tt_settings_fini(&settings);
	cr_assert(fcntl(STDERR_FILENO, F_GETFD) >= 0);
}

Test(settings, unknown_variables_are_found_and_known_ones_are_not)
{
	const char *names[4];

	setenv("TUTTI_LOG", "warn", 1);
	setenv("TUTTI_RANK", "0", 1);
	setenv("TUTTI_SECRET_FD", "5", 1);
	setenv("TUTTI_KERNELS", "avx2", 1);
	cr_assert(eq(int, tt_settings_unknown(names, 4), 0));
	setenv("TUTTI_TIMEOUT", "5", 1);
	setenv("TUTTI_LOGS", "5", 1);
	cr_assert(eq(int, tt_settings_unknown(names, 4), 2));
	cr_assert(eq(int, tt_settings_unknown(names, 1), 1));
	cr_assert(strncmp(names[0], "TUTTI_", 6) == 0);
}

Test(settings, sizes_are_read_exactly_or_not_at_all)
{
	static const struct {
		const char *text;
		size_t bytes;
	} good[] = {{"0", 0}, {"123", 123}, {"64K", 65536}, {"64k", 65536}, {"1.5M", 1572864}, {"0.5K", 512},
	    {"2G", (size_t)2 << 30}, {"1T", (size_t)1 << 40}, {"18446744073709551615", SIZE_MAX}};
	static const char *const bad[] = {"", "K", "-1", "1.5", "1.", ".5K", "1KB", "1 K", "0x10", "1e3",
	    "18446744073709551616", "17179869184G", "16777216T", " 1"};
	size_t bytes;

	for (size_t i = 0; i < TT_COUNT_OF(good); i++) {
		cr_assert(eq(int, tt_parse_size(good[i].text, &bytes), TUTTI_OK), "%s", good[i].text);
		cr_assert(eq(sz, bytes, good[i].bytes), "%s", good[i].text);
	}
	bytes = 7;
	for (size_t i = 0; i < TT_COUNT_OF(bad); i++)
		cr_assert(eq(int, tt_parse_size(bad[i], &bytes), TUTTI_ERR_ARGUMENT), "%s", bad[i]);
	cr_assert(eq(sz, bytes, 7));
}
