/* SPDX-License-Identifier: Apache-2.0
 *
 * cache.c - which profile a communicator uses, and where profiles are kept.
 *
 * Several ranks, and several jobs, may come at once: whoever holds the lock file calibrates, the others wait for it a
 * moment and then read what it wrote. Whatever goes wrong here costs a measurement, never a communicator.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/settings.h"
#include "profile/profile.h"
#include "topology/host.h"

#define CALIBRATION_MS 90
#define LOCK_TRIES 50 /* with a pause of ... */
#define LOCK_PAUSE_NS 5000000L

static bool
make_directory(const char *path, bool make)
{
	struct stat status;

	if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
		return false;
	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* In a place where everybody may write: ours, and nobody else's to write to. */
static bool
is_ours_alone(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
	       (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool
directory_of(bool make, char *path, size_t capacity)
{
	char cache[TT_PROFILE_PATH - 64];

	if (tt_settings_cache_directory(cache, sizeof(cache)) && make_directory(cache, make) &&
	    access(cache, W_OK) == 0) {
		snprintf(path, capacity, "%s/tutti", cache);
		if (!make || (make_directory(path, true) && access(path, W_OK) == 0))
			return true;
	}
	snprintf(path, capacity, "/tmp/tutti-%u", (unsigned)geteuid());
	return make_directory(path, make) && is_ours_alone(path);
}

bool
tt_profile_path(uint64_t host, bool make, char *path, size_t capacity)
{
	char directory[TT_PROFILE_PATH - 32];

	if (!directory_of(make, directory, sizeof(directory)))
		return false;
	snprintf(path, capacity, "%s/%016" PRIx64 "-%d.profile", directory, host, TT_PROFILE_VERSION);
	return true;
}

void
tt_profile_complete(struct tt_profile *profile)
{
	struct tt_host host = {0};

	if (profile->constants.source[TT_CONSTANT_NEAREST_CACHE] != TT_CONSTANT_ASSUMED)
		return;
	tt_host_probe_kind("", &host);
	tt_calibrate_caches(host.l1d_bytes, host.l2_bytes, &profile->constants);
}

/* Is there one for this host? Others are as good as none. */
static bool
recall(const char *path, struct tt_profile *profile)
{
	struct tt_profile found;

	if (access(path, R_OK) != 0 || tt_profile_read(path, &found) != TUTTI_OK || found.host != profile->host)
		return false;
	tt_profile_complete(&found);
	*profile = found;
	return true;
}

static int
lock(const char *path)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
	char name[TT_PROFILE_PATH + 8];
	int fd;

	snprintf(name, sizeof(name), "%s.lock", path);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++)
		nanosleep(&pause, NULL);
	return fd;
}

static void
calibrate(const struct tt_log *log, struct tt_profile *profile)
{
	char path[TT_PROFILE_PATH];
	const bool kept = tt_profile_path(profile->host, true, path, sizeof(path));
	const int held = kept ? lock(path) : -1;

	if (!kept || !recall(path, profile)) {
		tt_calibrate(CALIBRATION_MS, &profile->constants);
		if (kept && tt_profile_write(path, profile) == TUTTI_OK)
			tt_log(log, TT_LOG_INFO, "measured this machine; the profile is kept in %s", path);
		else
			tt_log(log, TT_LOG_INFO,
			    "measured this machine; the profile cannot be kept, so the next program measures again");
	}
	if (held >= 0)
		close(held);
}

static tutti_status
get(const char *setting, const struct tt_log *log, struct tt_profile *profile)
{
	char path[TT_PROFILE_PATH];
	struct tt_profile given;

	tt_profile_init(profile);
	if (setting != NULL && strcmp(setting, "assumed") == 0)
		return TUTTI_OK;
	if (setting != NULL) {
		TT_TRY(tt_profile_read(setting, &given));
		if (given.host == profile->host) {
			tt_profile_complete(&given);
			*profile = given;
			return TUTTI_OK;
		}
		tt_log(log, TT_LOG_WARN,
		    "TUTTI_PROFILE: %s belongs to another kind of host (%s); it is not used here", setting,
		    given.cpu_model);
	}
	if (tt_profile_path(profile->host, false, path, sizeof(path)) && recall(path, profile))
		return TUTTI_OK;
	calibrate(log, profile);
	return TUTTI_OK;
}

tutti_status
tt_profile_get(const char *setting, const struct tt_log *log, struct tt_profile *profile)
{
	const tutti_error before = *tt_last_error();

	TT_TRY(get(setting, log, profile));
	/* What went wrong on the way is nobody's failure. */
	(void)tt_fail_with(&before);
	return TUTTI_OK;
}
