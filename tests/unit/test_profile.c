/* SPDX-License-Identifier: Apache-2.0
 *
 * test_profile.c - a profile survives its file, a bad one is not believed, and nothing about files is a failure.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "profile/profile.h"

static char cache[64];
static const struct tt_log quiet = {TT_LOG_ERROR, 2, 0, NULL};

static void
make_cache(void)
{
	strcpy(cache, "/tmp/tutti-profile-XXXXXX");
	cr_assert(ne(ptr, mkdtemp(cache), NULL));
	setenv("XDG_CACHE_HOME", cache, 1);
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	return remove(path);
}

static void
remove_cache(void)
{
	nftw(cache, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(profile, .init = make_cache, .fini = remove_cache, .timeout = 30);

static void
write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert(ne(ptr, file, NULL));
	fputs(text, file);
	fclose(file);
}

static bool
has_measured(const struct tt_profile *profile)
{
	for (int i = 0; i < TT_CONSTANTS; i++)
		if (profile->constants.source[i] == TT_CONSTANT_MEASURED)
			return true;
	return false;
}

Test(profile, text_and_back_is_the_same)
{
	struct tt_profile written, read;
	char text[TT_PROFILE_TEXT], again[TT_PROFILE_TEXT];

	tt_profile_init(&written);
	tt_constants_set(&written.constants, TT_CONSTANT_HANDOFF, 81.25, TT_CONSTANT_TUNED);
	tt_constants_set(&written.constants, TT_CONSTANT_CHUNK, 131072, TT_CONSTANT_MEASURED);
	cr_assert(lt(sz, tt_profile_print(&written, text, sizeof(text)), sizeof(text)));
	cr_assert(eq(int, tt_profile_parse(text, &read), TUTTI_OK), "%s", tt_last_error()->message);
	cr_expect(eq(u64, read.host, written.host));
	cr_expect(eq(dbl, read.constants.value[TT_CONSTANT_HANDOFF], 81.25));
	cr_expect(eq(int, read.constants.source[TT_CONSTANT_HANDOFF], TT_CONSTANT_TUNED));
	tt_profile_print(&read, again, sizeof(again));
	cr_expect(eq(str, again, text));
}

Test(profile, what_is_no_profile_is_refused_and_says_where)
{
	static const char *const bad[] = {"", "handoff 1 ns tuned\n", "# Tutti profile 4\n",
	    "# Tutti profile 5\nhost 1\n", "# Tutti profile 4\nhost 1", "# Tutti profile 4\nhost x\n",
	    "# Tutti profile 4\nhost 1\nhandoff nan ns tuned\n", "# Tutti profile 4\nhost 1\nhandoff -5 ns tuned\n",
	    "# Tutti profile 4\nhost 1\nhandoff 5 us tuned\n", "# Tutti profile 4\nhost 1\nhandoff 5 ns guessed\n",
	    "# Tutti profile 4\nhost 1\nhandoff 5 ns tuned twice\n",
	    "# Tutti profile 4\nhost 1\nhandoff 1e99 ns tuned\n", "# Tutti profile 4\nhost 1\nhandoff\n",
	    "# Tutti profile 4\nhost 1\nstage_slots 1 chunks tuned\n",
	    "# Tutti profile 4\nhost 1\nstage_slots 1000 chunks tuned\n",
	    "# Tutti profile 4\nhost 1\nstage_chunk 4 B tuned\n"};
	struct tt_profile profile;

	tt_profile_init(&profile);
	profile.host = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_expect(eq(int, tt_profile_parse(bad[i], &profile), TUTTI_ERR_ARGUMENT), "%s", bad[i]);
		cr_expect(eq(u64, profile.host, 77), "a refused profile leaves nothing behind");
	}
}

Test(profile, a_constant_of_a_later_version_is_passed_over)
{
	struct tt_profile profile;

	cr_expect(eq(int, tt_profile_parse("# Tutti profile 4\nhost 1\nwarp 9 lines tuned\n", &profile), TUTTI_OK));
}

Test(profile, the_first_use_measures_and_the_second_reads)
{
	struct tt_profile first, second;
	char path[TT_PROFILE_PATH];

	cr_assert(eq(int, tt_profile_get(NULL, &quiet, &first), TUTTI_OK));
	cr_assert(tt_profile_path(first.host, false, path, sizeof(path)));
	cr_expect(eq(int, strncmp(path, cache, strlen(cache)), 0));
	cr_expect(eq(int, access(path, R_OK), 0));
	cr_assert(eq(int, tt_profile_get(NULL, &quiet, &second), TUTTI_OK));
	cr_expect(eq(str, second.from, path));
	for (int i = 0; i < TT_CONSTANTS; i++)
		cr_expect(eq(int, second.constants.source[i], first.constants.source[i]));
}

Test(profile, a_broken_or_foreign_file_in_the_cache_is_replaced)
{
	struct tt_profile profile;
	char path[TT_PROFILE_PATH];

	tt_profile_init(&profile);
	cr_assert(tt_profile_path(profile.host, true, path, sizeof(path)));
	for (int foreign = 0; foreign < 2; foreign++) {
		write_file(path, foreign ? "# Tutti profile 4\nhost 1234\nhandoff 5 ns tuned\n"
					 : "\x7f"
					   "ELF");
		cr_assert(eq(int, tt_profile_get(NULL, &quiet, &profile), TUTTI_OK));
		cr_expect(has_measured(&profile));
		cr_assert(eq(int, tt_profile_read(path, &profile), TUTTI_OK));
		cr_expect(ne(u64, profile.host, 0x1234));
	}
}

Test(profile, each_version_keeps_its_own_file_in_the_cache)
{
	struct tt_profile profile;
	char path[TT_PROFILE_PATH], version[32], other[TT_PROFILE_PATH], text[128];

	tt_profile_init(&profile);
	cr_assert(tt_profile_path(profile.host, true, path, sizeof(path)));
	snprintf(version, sizeof(version), "-%d.profile", TT_PROFILE_VERSION);
	cr_assert(ne(ptr, strstr(path, version), NULL));
	snprintf(other, sizeof(other), "%.*s-%d.profile", (int)(strstr(path, version) - path), path,
	    TT_PROFILE_VERSION + 1);
	write_file(other, "theirs\n");
	cr_assert(eq(int, tt_profile_get(NULL, &quiet, &profile), TUTTI_OK));
	FILE *file = fopen(other, "r");
	cr_assert(ne(ptr, file, NULL));
	cr_expect(ne(ptr, fgets(text, sizeof(text), file), NULL));
	fclose(file);
	cr_expect(eq(str, text, "theirs\n"));
}

Test(profile, one_of_another_version_is_measured_again_in_the_cache_and_refused_where_it_is_asked_for)
{
	struct tt_profile profile;
	char path[TT_PROFILE_PATH], text[64];

	tt_profile_init(&profile);
	cr_assert(tt_profile_path(profile.host, true, path, sizeof(path)));
	snprintf(text, sizeof(text), "# Tutti profile %d\nhost 1\n", TT_PROFILE_VERSION - 1);
	write_file(path, text);
	cr_expect(eq(int, tt_profile_get(path, &quiet, &profile), TUTTI_ERR_ARGUMENT));
	cr_expect(ne(ptr, strstr(tt_last_error()->message, "another version"), NULL), "%s", tt_last_error()->message);
	cr_expect(ne(ptr, strstr(tt_last_error()->message, "tutti tune"), NULL), "%s", tt_last_error()->message);
	cr_assert(eq(int, tt_profile_get(NULL, &quiet, &profile), TUTTI_OK));
	cr_expect(has_measured(&profile));
}

Test(profile, nowhere_to_keep_it_is_no_failure)
{
	struct tt_profile profile;
	const tutti_error before = *tt_last_error();
	char fallback[64];
	bool was_there;

	snprintf(fallback, sizeof(fallback), "/tmp/tutti-%u", (unsigned)geteuid());
	was_there = access(fallback, F_OK) == 0;
	setenv("XDG_CACHE_HOME", "/proc/self/no such place", 1);
	cr_assert(eq(int, tt_profile_get(NULL, &quiet, &profile), TUTTI_OK));
	cr_expect(eq(int, tt_last_error()->status, before.status), "nothing is reported as failed");
	if (!was_there)
		nftw(fallback, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

Test(profile, assumed_touches_no_file)
{
	struct tt_profile profile;
	char path[TT_PROFILE_PATH];

	cr_assert(eq(int, tt_profile_get("assumed", &quiet, &profile), TUTTI_OK));
	cr_expect(not(has_measured(&profile)));
	snprintf(path, sizeof(path), "%s/tutti", cache);
	cr_expect(ne(int, access(path, F_OK), 0));
}

Test(profile, a_file_that_is_asked_for_must_be_one)
{
	struct tt_profile profile;
	char path[TT_PROFILE_PATH];

	cr_expect(eq(int, tt_profile_get("/nowhere/at all", &quiet, &profile), TUTTI_ERR_SYSTEM));
	snprintf(path, sizeof(path), "%s/mine", cache);
	write_file(path, "nonsense\n");
	cr_expect(eq(int, tt_profile_get(path, &quiet, &profile), TUTTI_ERR_ARGUMENT));
	cr_expect(strstr(tt_last_error()->message, path) != NULL);
	cr_expect(eq(int, tt_profile_get("/dev/zero", &quiet, &profile), TUTTI_ERR_ARGUMENT));
}

Test(profile, pieces_of_messages_follow_what_posting_them_costs)
{
	struct tt_constants c;

	tt_constants_init(&c);
	tt_calibrate_conclude(&c);
	cr_expect(eq(int, c.source[TT_CONSTANT_CHUNK], TT_CONSTANT_ASSUMED));
	tt_constants_set(&c, TT_CONSTANT_SHM_ONE_WAY, 80, TT_CONSTANT_TUNED);
	for (double post = 1; post < 1e6; post *= 1.3) {
		double size;

		tt_constants_set(&c, TT_CONSTANT_SHM_POST, post, TT_CONSTANT_TUNED);
		tt_calibrate_conclude(&c);
		size = c.value[TT_CONSTANT_CHUNK];
		cr_expect(eq(int, c.source[TT_CONSTANT_CHUNK], TT_CONSTANT_DERIVED));
		cr_expect(size >= 16384 && size <= 1048576 && ((size_t)size & ((size_t)size - 1)) == 0);
		/* Between a twentieth and a tenth of a piece's time, where a piece may be as large or small as that. */
		cr_expect(size == 1048576 || post * 1000 / (80 * size) <= 0.1, "%g ns: %g bytes", post, size);
		cr_expect(size == 16384 || post * 1000 / (80 * size) >= 0.045, "%g ns: %g bytes", post, size);
	}
}

Test(profile, sizes_of_the_node_stage_follow_from_caches_and_fit_them)
{
	struct tt_constants c;

	tt_constants_init(&c);
	tt_calibrate_caches(0, 0, &c);
	cr_expect(eq(int, c.source[TT_CONSTANT_STAGE_CHUNK], TT_CONSTANT_ASSUMED));
	cr_expect(eq(int, c.source[TT_CONSTANT_STAGE_BLOCK], TT_CONSTANT_ASSUMED));
	for (size_t cache = 256 << 10; cache <= 64 << 20; cache += cache / 4)
		for (size_t nearest = 16 << 10; nearest <= 256 << 10; nearest += nearest / 4) {
			const size_t most = cache < (256 << 10) * 4 ? 32 << 10 : cache / 16;

			tt_calibrate_caches(nearest, cache, &c);
			cr_expect(eq(int, c.source[TT_CONSTANT_STAGE_CHUNK], TT_CONSTANT_DERIVED));
			cr_expect(c.value[TT_CONSTANT_STAGE_CHUNK] <= (double)most, "%zu", cache);
			cr_expect(c.value[TT_CONSTANT_STAGE_CHUNK] >= 32 << 10);
			cr_expect(c.value[TT_CONSTANT_STAGE_BLOCK] <= (double)nearest / 4, "%zu", nearest);
			cr_expect(c.value[TT_CONSTANT_STAGE_APART] <= (double)cache / 4, "%zu %zu", nearest, cache);
		}
	tt_constants_set(&c, TT_CONSTANT_STAGE_CHUNK, 65536, TT_CONSTANT_TUNED);
	tt_calibrate_caches(48 << 10, 2 << 20, &c);
	cr_expect(eq(dbl, c.value[TT_CONSTANT_STAGE_CHUNK], 65536), "what was measured stays");
	cr_expect(eq(dbl, c.value[TT_CONSTANT_STAGE_BLOCK], 8 << 10));
	cr_expect(eq(dbl, c.value[TT_CONSTANT_STAGE_APART], 384 << 10));
}

/* As they were before the node stage's sizes were part of them. */
Test(profile, one_that_was_kept_before_a_constant_existed_is_completed)
{
	struct tt_profile profile, assumed;
	char path[TT_PROFILE_PATH], text[256];

	tt_profile_init(&assumed);
	cr_assert(tt_profile_path(assumed.host, true, path, sizeof(path)));
	snprintf(text, sizeof(text), "# Tutti profile 4\nhost %llx\nhandoff 81 ns tuned\ncache 4194304 B derived\n",
	    (unsigned long long)assumed.host);
	write_file(path, text);
	cr_assert(eq(int, tt_profile_read(path, &profile), TUTTI_OK));
	cr_expect(eq(dbl, profile.constants.value[TT_CONSTANT_STAGE_CHUNK], 256 << 10), "of the cache that it says");
	cr_expect(eq(int, profile.constants.source[TT_CONSTANT_STAGE_SLOTS], TT_CONSTANT_ASSUMED));
	for (int given = 0; given < 2; given++) {
		cr_assert(eq(int, tt_profile_get(given ? path : NULL, &quiet, &profile), TUTTI_OK));
		cr_expect(eq(dbl, profile.constants.value[TT_CONSTANT_HANDOFF], 81), "it is not measured again");
		for (int i = 0; i < TT_CONSTANTS; i++)
			cr_expect(tt_constant_allows((enum tt_constant)i, profile.constants.value[i]), "%s",
			    tt_constant_info((enum tt_constant)i)->name);
	}
}

Test(profile, the_worse_of_two_hosts_counts)
{
	struct tt_constants a, b;

	tt_constants_init(&a);
	tt_constants_init(&b);
	tt_constants_set(&a, TT_CONSTANT_HANDOFF, 50, TT_CONSTANT_MEASURED);
	tt_constants_set(&b, TT_CONSTANT_HANDOFF, 70, TT_CONSTANT_TUNED);
	tt_constants_set(&b, TT_CONSTANT_CHUNK, 4096, TT_CONSTANT_TUNED);
	tt_constants_worst(&a, &b);
	cr_expect(eq(dbl, a.value[TT_CONSTANT_HANDOFF], 70));
	cr_expect(eq(int, a.source[TT_CONSTANT_HANDOFF], TT_CONSTANT_TUNED));
	cr_expect(eq(dbl, a.value[TT_CONSTANT_CHUNK], 4096));
	tt_constants_set(&b, TT_CONSTANT_STAGE_CHUNK, 32768, TT_CONSTANT_TUNED);
	tt_constants_set(&b, TT_CONSTANT_ROWS_FROM, 1 << 20, TT_CONSTANT_TUNED);
	tt_constants_set(&b, TT_CONSTANT_STAGE_SLOTS, 4, TT_CONSTANT_TUNED);
	tt_constants_worst(&a, &b);
	cr_expect(eq(dbl, a.value[TT_CONSTANT_STAGE_CHUNK], 32768));
	cr_expect(eq(dbl, a.value[TT_CONSTANT_ROWS_FROM], 1 << 20));
	cr_expect(eq(dbl, a.value[TT_CONSTANT_STAGE_SLOTS], 4));
}
