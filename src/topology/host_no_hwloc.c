/* SPDX-License-Identifier: Apache-2.0
 *
 * host_no_hwloc.c - stands in for host_hwloc.c in a build without hwloc: /proc and /sys have to do.
 */
#include "topology/host.h"

#include "base/error.h"

tutti_status
tt_host_probe_hwloc(const char *synthetic, struct tt_host *host)
{
	return tt_fail(TUTTI_ERR_UNSUPPORTED, -1, "this build of Tutti has no hwloc");
}
