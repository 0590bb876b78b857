/* SPDX-License-Identifier: Apache-2.0
 *
 * calibrate.c - the short calibration: which cores, in which order, and what follows from what was measured.
 *
 * What needs ranks (messages through the library's own transports) is not measured here but scaled by what is: a
 * meeting and a message through memory are some handoffs. `tutti tune` measures them.
 */
#include "profile/calibrate.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "topology/host.h"
#include "topology/host_file.h"

bool
tt_calibrate_over(const struct tt_calibration *c)
{
	return tt_now_ns() >= c->deadline_ns;
}

/* ---- two threads ------------------------------------------------------------------------------------------------ */

struct seat {
	tt_player play;
	void *game;
	int cpu, side;
	tt_atomic_u32 *seated; /* how many are; much more: somebody cannot be */
};

#define CANNOT 1000u
#define BEYOND 1.5 /* what a copy costs more out of the caches */
#define LOOK 0.1 /* of posting a message: looking for one */
#define ONE_WAY 0.6 /* of both: sender and receiver copy at the same time, but not always */

static void *
sit(void *argument)
{
	struct seat *seat = argument;
	struct tt_cpu_set set = {{0}};

	set.bits[seat->cpu / 64] = UINT64_C(1) << (seat->cpu % 64);
	tt_fetch_add_acq_rel(seat->seated, tt_host_bind(&set) == TUTTI_OK ? 1u : CANNOT);
	while (tt_load_acquire(seat->seated) < 2) /* pairs with the addition of the other, which may need this core */
		sched_yield();
	if (tt_load_acquire(seat->seated) == 2)
		seat->play(seat->game, seat->side);
	return NULL;
}

bool
tt_calibrate_pair(int first, int second, tt_player play, void *game)
{
	tt_atomic_u32 seated = 0;
	struct seat seats[2] = {{play, game, first, 0, &seated}, {play, game, second, 1, &seated}};
	pthread_t threads[2];

	if (first < 0 || second < 0)
		return false;
	if (pthread_create(&threads[0], NULL, sit, &seats[0]) != 0)
		return false;
	if (pthread_create(&threads[1], NULL, sit, &seats[1]) != 0) {
		tt_fetch_add_acq_rel(&seated, CANNOT);
		pthread_join(threads[0], NULL);
		return false;
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	return tt_load_relaxed(&seated) == 2;
}

/* ---- two cores -------------------------------------------------------------------------------------------------- */

static bool
has(const struct tt_cpu_set *set, int cpu)
{
	return (set->bits[cpu / 64] >> (cpu % 64) & 1) != 0;
}

static bool
read_set(struct tt_cpu_set *set, const char *format, int cpu)
{
	char path[128], list[4096];

	snprintf(path, sizeof(path), format, cpu);
	return tt_host_read("", list, sizeof(list), "%s", path) && tt_cpu_set_parse(list, set) == TUTTI_OK;
}

/* The first CPU of `inside` that is not in `outside`. */
static int
pick(const struct tt_cpu_set *inside, const struct tt_cpu_set *outside)
{
	for (int cpu = 0; cpu < TT_HOST_CPUS; cpu++)
		if (has(inside, cpu) && !has(outside, cpu))
			return cpu;
	return -1;
}

static void
choose_cpus(struct tt_calibration *c)
{
	struct tt_cpu_set mine, online, core = {{0}}, cache, package;
	static const char *const of_cache = "/sys/devices/system/cpu/cpu%d/cache/index3/shared_cpu_list";

	for (int i = 0; i < TT_NEARNESS; i++)
		c->cpu[i] = -1;
	if (tt_host_affinity(&mine) != TUTTI_OK)
		return;
	online = mine;
	(void)read_set(&online, "/sys/devices/system/cpu/online", 0);
	c->cpu[TT_NEAR_SELF] = pick(&mine, &core);
	if (c->cpu[TT_NEAR_SELF] < 0)
		return;
	if (!read_set(&core, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", c->cpu[TT_NEAR_SELF]))
		core.bits[c->cpu[TT_NEAR_SELF] / 64] = UINT64_C(1) << (c->cpu[TT_NEAR_SELF] % 64);
	package = online;
	(void)read_set(&package, "/sys/devices/system/cpu/cpu%d/topology/core_siblings_list", c->cpu[TT_NEAR_SELF]);
	cache = package;
	(void)read_set(&cache, of_cache, c->cpu[TT_NEAR_SELF]);
	c->cpu[TT_NEAR_CACHE] = pick(&cache, &core);
	if (c->cpu[TT_NEAR_CACHE] < 0) /* every core has a last cache of its own */
		c->cpu[TT_NEAR_CACHE] = pick(&package, &core);
	c->cpu[TT_NEAR_PACKAGE] = pick(&package, &cache);
	c->cpu[TT_NEAR_HOST] = pick(&online, &package);
}

bool
tt_calibrate_neighbours(int cpu[2])
{
	struct tt_calibration c = {.constants = NULL};

	choose_cpus(&c);
	cpu[0] = c.cpu[TT_NEAR_SELF];
	cpu[1] = c.cpu[TT_NEAR_CACHE];
	return cpu[0] >= 0 && cpu[1] >= 0;
}

/* ---- what follows ------------------------------------------------------------------------------------------------ */

/* What is assumed of these goes with a handoff of the assumed length. */
static void
derive_all(const struct tt_calibration *c)
{
	struct tt_constants *constants = c->constants;
	static const enum tt_constant by_handoff[] = {TT_CONSTANT_MEET, TT_CONSTANT_SHM_MESSAGE, TT_CONSTANT_SHM_POST,
	    TT_CONSTANT_HANDOFF_CACHE, TT_CONSTANT_HANDOFF_PACKAGE};
	const double scale = constants->value[TT_CONSTANT_HANDOFF] / tt_constant_info(TT_CONSTANT_HANDOFF)->assumed;

	for (size_t i = 0; i < TT_COUNT_OF(by_handoff); i++)
		if (constants->source[TT_CONSTANT_HANDOFF] == TT_CONSTANT_MEASURED)
			tt_calibrate_derive(
			    constants, by_handoff[i], scale * tt_constant_info(by_handoff[i])->assumed);
	if (constants->source[TT_CONSTANT_COPY_SHARED] == TT_CONSTANT_MEASURED)
		tt_calibrate_derive(constants, TT_CONSTANT_SHM_BYTE, 2 * constants->value[TT_CONSTANT_COPY_SHARED]);
	/* A busy machine leaves no time for it: better a guess from what was measured than from other machines. */
	if (constants->source[TT_CONSTANT_COPY_SHARED] == TT_CONSTANT_MEASURED)
		tt_calibrate_derive(
		    constants, TT_CONSTANT_COPY_MEMORY, BEYOND * constants->value[TT_CONSTANT_COPY_SHARED]);
	if (constants->source[TT_CONSTANT_SHM_BYTE] != TT_CONSTANT_ASSUMED)
		tt_calibrate_derive(
		    constants, TT_CONSTANT_SHM_ONE_WAY, ONE_WAY * constants->value[TT_CONSTANT_SHM_BYTE]);
	/* Where they were faster they pay from that size on, or where the result would fill half of the last cache. */
	if (constants->source[TT_CONSTANT_COPY_STREAM] == TT_CONSTANT_MEASURED)
		tt_calibrate_derive(constants, TT_CONSTANT_STREAM_FROM,
		    constants->value[TT_CONSTANT_COPY_STREAM] < constants->value[TT_CONSTANT_COPY_MEMORY]
			? (double)tt_calibrate_memory_bytes(c)
			: TT_CALIBRATE_NEVER);
	tt_calibrate_conclude(constants);
	if (constants->source[TT_CONSTANT_LOOP_MESSAGE] == TT_CONSTANT_MEASURED) {
		tt_calibrate_derive(constants, TT_CONSTANT_LOOP_LOOK, LOOK * constants->value[TT_CONSTANT_LOOP_POST]);
		tt_calibrate_derive(constants, TT_CONSTANT_NET_POST, constants->value[TT_CONSTANT_LOOP_POST]);
		tt_calibrate_derive(constants, TT_CONSTANT_NET_BYTE, constants->value[TT_CONSTANT_LOOP_BYTE]);
		tt_calibrate_derive(constants, TT_CONSTANT_NET_ONE_WAY, constants->value[TT_CONSTANT_LOOP_ONE_WAY]);
	}
}

void
tt_calibrate(int budget_ms, struct tt_constants *constants)
{
	static const struct {
		void (*measure)(const struct tt_calibration *calibration);
		int until_percent;
	} parts[] = {{tt_calibrate_handoffs, 20}, {tt_calibrate_switches, 40}, {tt_calibrate_tcp, 60},
	    {tt_calibrate_copies, 100}};
	const int64_t begin = tt_now_ns();
	struct tt_calibration c = {.constants = constants};
	struct tt_host host = {0};

	tt_host_probe_kind("", &host);
	tt_calibrate_caches(host.l1d_bytes, host.l2_bytes, constants);
	c.l3_bytes = host.l3_bytes > 0 ? host.l3_bytes : (size_t)8 << 20;
	choose_cpus(&c);
	/* A share of the time for each, so that a busy machine cuts all short instead of leaving the last out. */
	for (size_t i = 0; i < TT_COUNT_OF(parts); i++) {
		c.deadline_ns = begin + budget_ms * TT_MS * parts[i].until_percent / 100;
		parts[i].measure(&c);
	}
	derive_all(&c);
}
