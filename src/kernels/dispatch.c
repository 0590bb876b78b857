/* SPDX-License-Identifier: Apache-2.0
 *
 * dispatch.c - which set of kernels this processor runs.
 *
 * The rule: a set is only ever handed out after the processor and the operating system said that they support it.
 * Tables of pointers instead of ifuncs: those run before a sanitizer's run time is ready. The build defines
 * TT_HAVE_<SET> for the sets it compiled.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/sets.h"

#if defined(__x86_64__)
#include <cpuid.h>

TT_UNUSED static bool
has_avx2(void)
{
	unsigned a, b, c = 0, d;

	/* F16C has a bit of its own, and not every compiler knows its name. */
	return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

TT_UNUSED static bool
has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

TT_UNUSED static bool
has_avx512fp16(void)
{
	unsigned a, b, c, d = 0;

	/* Leaf 7, bit 23 of edx: not every compiler knows that name either. */
	return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & 1u << 23) != 0;
}
#endif

static bool
has_always(void)
{
	return true;
}

struct candidate {
	const struct tt_kernels *set;
	bool (*supported)(void);
};

/* The best first. */
static const struct candidate candidates[] = {
#if defined(TT_HAVE_AVX512FP16)
    {&tt_kernels_avx512fp16, has_avx512fp16},
#endif
#if defined(TT_HAVE_AVX512)
    {&tt_kernels_avx512, has_avx512},
#endif
#if defined(TT_HAVE_AVX2)
    {&tt_kernels_avx2, has_avx2},
#endif
#if defined(TT_HAVE_NEON)
    {&tt_kernels_neon, has_always},
#endif
    {&tt_kernels_reference, has_always},
};

const struct tt_kernels *
tt_kernels_named(const char *name)
{
	for (size_t i = 0; i < TT_COUNT_OF(candidates); i++)
		if (strcmp(candidates[i].set->name, name) == 0)
			return candidates[i].supported() ? candidates[i].set : NULL;
	return NULL;
}

static const struct tt_kernels *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void
choose(void)
{
	const char *forced = getenv("TUTTI_KERNELS");

	if (forced != NULL)
		chosen = tt_kernels_named(forced);
	for (size_t i = 0; chosen == NULL; i++)
		if (candidates[i].supported())
			chosen = candidates[i].set;
}

const struct tt_kernels *
tt_kernels_best(void)
{
	pthread_once(&chosen_once, choose);
	return chosen;
}
