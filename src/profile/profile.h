/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h - the constants of one host, as measured on it, kept in a file.
 *
 *	first use      tt_calibrate() measures for some 50 ms; the result is kept in the user's cache directory
 *	`tutti tune`   measures real messages for up to a minute and replaces it
 *	TUTTI_PROFILE  a file to use instead, or "assumed": nothing is read, measured or written
 *
 * A profile belongs to a kind of host: a hash of its processor, caches and NUMA nodes, and of the instruction set that
 * the reductions use. One that belongs to another kind, or cannot be read, is not used. That a profile cannot be
 * written is no failure. Each version keeps its own: programs with different versions of the library do not replace each
 * other's again and again.
 */
#ifndef TT_PROFILE_PROFILE_H
#define TT_PROFILE_PROFILE_H

#include "base/log.h"
#include "select/constants.h"

#define TT_PROFILE_VERSION 4 /* of the constants and what they mean; part of the name of what is kept */
#define TT_PROFILE_TEXT 16384 /* most bytes of a profile's file */
#define TT_PROFILE_PATH 4096

struct tt_profile {
	uint64_t host; /* see tt_profile_host() */
	char cpu_model[96], kernels[16];
	struct tt_constants constants;
	char from[TT_PROFILE_PATH]; /* the file it was read from; "" = none */
};

/* Everything assumed, for the host this process runs on. */
void tt_profile_init(struct tt_profile *profile);
/* The number of this kind of host, from a few small files. root: "" for this host. */
uint64_t tt_profile_host(const char *root, const char *kernels, char *cpu_model, size_t capacity);

/* The text form; print returns the length needed without the final zero, like snprintf. ERR_ARGUMENT names the line. */
size_t tt_profile_print(const struct tt_profile *profile, char *text, size_t capacity);
tutti_status tt_profile_parse(const char *text, struct tt_profile *profile);
tutti_status tt_profile_read(const char *path, struct tt_profile *profile);
/* All or nothing: readers see the old file or the new one. */
tutti_status tt_profile_write(const char *path, const struct tt_profile *profile);

/* Where the profile of this kind of host is kept: the cache directory of the user, else a directory of the user's own in
 * /tmp; false if there is neither. The directories are made if `make`. */
bool tt_profile_path(uint64_t host, bool make, char *path, size_t capacity);
/* A profile of this host that was made before the caches were part of it: they are read now. */
void tt_profile_complete(struct tt_profile *profile);
/* What a communicator uses. setting: TUTTI_PROFILE, NULL = the cache, and if nothing is there a calibration that fills
 * it. ERR_ARGUMENT: the setting names a file that is none. */
tutti_status tt_profile_get(const char *setting, const struct tt_log *log, struct tt_profile *profile);

/* Two CPUs of different cores, as near as possible, the first of which this thread may use; false: there are no two. */
bool tt_calibrate_neighbours(int cpu[2]);
/* What the host's caches are, of one core; 0 = unknown. */
void tt_calibrate_caches(size_t nearest_bytes, size_t cache_bytes, struct tt_constants *constants);
/* What follows from constants that were measured otherwise, or read. */
void tt_calibrate_conclude(struct tt_constants *constants);
/* Measures what one process can measure alone, in at most `budget_ms`; what it does not come to stays. Threads of its
 * own run bound to two cores; the calling thread's binding stays. */
void tt_calibrate(int budget_ms, struct tt_constants *constants);

#endif /* TT_PROFILE_PROFILE_H */
