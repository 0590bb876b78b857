/* SPDX-License-Identifier: Apache-2.0
 *
 * asymmetric.c - see asymmetric.h; membarrier(2) does it.
 */
#include "base/asymmetric.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool
membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0;
}

bool
tt_heavy_fence_join(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
}

bool
tt_heavy_fence(void)
{
	tt_fence_seq_cst();
	return membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}
