/* SPDX-License-Identifier: Apache-2.0
 *
 * calibrate.h - what the files of the calibration share: the budget, two cores, and two threads on them.
 *
 * Every measurement is the least of several: noise only ever adds. Each looks at the clock now and then and leaves the
 * constant as it is when its time has come.
 */
#ifndef TT_PROFILE_CALIBRATE_H
#define TT_PROFILE_CALIBRATE_H

#include "base/atomics.h"
#include "profile/profile.h"

enum tt_nearness { TT_NEAR_SELF, TT_NEAR_CACHE, TT_NEAR_PACKAGE, TT_NEAR_HOST, TT_NEARNESS };

struct tt_calibration {
	int64_t deadline_ns;
	struct tt_constants *constants;
	int cpu[TT_NEARNESS]; /* the first, and one that shares its last cache, its package, its host; -1 = none */
	size_t l3_bytes;
};

/* Runs `play` in two threads at once, bound to these CPUs; false if that is not possible. */
typedef void (*tt_player)(void *game, int side);
bool tt_calibrate_pair(int first, int second, tt_player play, void *game);

#define TT_CALIBRATE_NEVER 1e12 /* bytes */

/* A constant that follows from others, if nobody has measured it (conclude.c). */
void tt_calibrate_derive(struct tt_constants *constants, enum tt_constant constant, double value);

bool tt_calibrate_over(const struct tt_calibration *calibration);

void tt_calibrate_handoffs(const struct tt_calibration *calibration); /* calibrate_pair.c */
void tt_calibrate_switches(const struct tt_calibration *calibration);
size_t tt_calibrate_memory_bytes(const struct tt_calibration *calibration); /* of a buffer that counts as memory */
void tt_calibrate_copies(const struct tt_calibration *calibration); /* calibrate_copy.c */
void tt_calibrate_tcp(const struct tt_calibration *calibration); /* calibrate_tcp.c */

#endif /* TT_PROFILE_CALIBRATE_H */
