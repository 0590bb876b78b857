/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - what things are called and how large they are: statuses, data types, this version.
 */
#include <tutti/tutti.h>

#include "kernels/kernels.h"

const char *
tutti_status_string(tutti_status status)
{
	static const char *const names[] = {"TUTTI_OK", "TUTTI_IN_PROGRESS", "TUTTI_ERR_ARGUMENT", "TUTTI_ERR_STATE",
	    "TUTTI_ERR_MISMATCH", "TUTTI_ERR_PEER", "TUTTI_ERR_TIMEOUT", "TUTTI_ERR_ABORTED", "TUTTI_ERR_AUTH",
	    "TUTTI_ERR_VERSION", "TUTTI_ERR_NOMEM", "TUTTI_ERR_SYSTEM", "TUTTI_ERR_UNSUPPORTED",
	    "TUTTI_ERR_INTERNAL"};

	if ((int)status < 0 || (size_t)status >= TT_COUNT_OF(names))
		return "TUTTI_ERR_UNKNOWN";
	return names[status];
}

size_t
tutti_dtype_size(tutti_dtype dtype)
{
	return tt_dtype_size(dtype);
}

void
tutti_version(int *major, int *minor, int *patch)
{
	if (major != NULL)
		*major = TUTTI_VERSION_MAJOR;
	if (minor != NULL)
		*minor = TUTTI_VERSION_MINOR;
	if (patch != NULL)
		*patch = TUTTI_VERSION_PATCH;
}
