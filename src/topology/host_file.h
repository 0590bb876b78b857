/* SPDX-License-Identifier: Apache-2.0
 *
 * host_file.h - small files of /proc and /sys, whole, under a root that tests can choose.
 */
#ifndef TT_TOPOLOGY_HOST_FILE_H
#define TT_TOPOLOGY_HOST_FILE_H

#include "base/port.h"

#define TT_HOST_FILE 65536 /* most bytes of a file that is looked at */

/* The file root/<path> as text, at most capacity - 1 bytes of it, without white space at its end. false if there is
 * none. */
bool tt_host_read(const char *root, char *text, size_t capacity, const char *path_format, ...) TT_PRINTF(4, 5);
/* The whole number in a file; `otherwise` if there is none. */
long tt_host_read_number(const char *root, const char *path, long otherwise);

#endif /* TT_TOPOLOGY_HOST_FILE_H */
