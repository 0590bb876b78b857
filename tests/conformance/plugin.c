/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.c - a plug-in as a third party would build it: one exported symbol that returns the table.
 */
#include <tutti/transport.h>

#include "shm/shm.h"

TUTTI_API const tutti_transport *tutti_transport_get(void);

const tutti_transport *
tutti_transport_get(void)
{
	return tt_transport_shm();
}
