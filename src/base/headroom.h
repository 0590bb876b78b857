/* SPDX-License-Identifier: Apache-2.0
 *
 * headroom.h - how much more memory may be allocated before the kernel kills somebody for it.
 *
 * Beyond a memory limit the kernel does not fail an allocation, it kills a process. So whoever is about to allocate
 * much asks here first. The answer is a snapshot: others allocate too.
 */
#ifndef TT_BASE_HEADROOM_H
#define TT_BASE_HEADROOM_H

#include <stddef.h>

#define TT_LIMIT_NAME 160

/* Bytes left under the tightest limit of this process: the machine's memory, and the cgroups (version 1 and 2) it is
 * in. `name` says which limit that is. SIZE_MAX if none can be read. `root` goes in front of /proc and /sys: "". */
size_t tt_headroom(const char *root, char name[TT_LIMIT_NAME]);

#endif /* TT_BASE_HEADROOM_H */
