/* SPDX-License-Identifier: Apache-2.0
 *
 * topology_no_hwloc.c - stands in for topology_hwloc.c in a build without hwloc: this host is read from /sys, others
 * are not known.
 */
#include "base/error.h"
#include "topology/topology.h"

tutti_status
tt_topology_load_hwloc(const char *xml, const char *synthetic, struct tt_topology *topology)
{
	return tt_fail(TUTTI_ERR_UNSUPPORTED, -1,
	    "this build of Tutti has no hwloc: it knows no machine but the one it runs on");
}
