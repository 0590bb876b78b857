/* SPDX-License-Identifier: Apache-2.0
 *
 * usual_stage.h - sizes of the node stage as a machine with caches of 48 KiB and 2 MiB has them, for tests of the stage alone.
 */
#ifndef TT_UNIT_USUAL_STAGE_H
#define TT_UNIT_USUAL_STAGE_H

#include "select/stage_facts.h"

/* clang-format off */
#define TT_STAGE_FACTS_INIT \
	{ \
		.staging_bytes = 4u << 20, .add_least = 32u << 10, .reduce_least = 32u << 10, .row_least = 16u << 10, \
		.single_least = 64u << 10, .run_least = 1u << 20, .run_most = 8u << 20, .pair_times = 2, \
		.chunk_least = 128u << 10, .chunk_most = 256u << 10, .pieces = 2, .slots = 3, .crowded_slots = 8, \
		.block = 8u << 10, .step = 2u << 10, .apart = 384u << 10, .stream_least = 8u << 20 \
	}
/* clang-format on */

#endif /* TT_UNIT_USUAL_STAGE_H */
