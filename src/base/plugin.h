/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.h - where the library's plug-ins are, and how they are loaded.
 *
 * A plug-in is loaded when it is wanted and stays: what it brings with it may have threads and constructors that do
 * not survive being unloaded. It must not know what the plug-ins are for.
 */
#ifndef TT_BASE_PLUGIN_H
#define TT_BASE_PLUGIN_H

#include <tutti/tutti.h>

/* The path of `file` ("tutti-fabric.so"): in `folder`, if one is given; else beside this library, where a package may
 * have moved both; in the tree it is built in, in `built` ("../transports/fabric/", from the library's folder); and
 * where it is to be installed. ERR_UNSUPPORTED names the places. */
tutti_status tt_plugin_find(const char *file, const char *folder, const char *built, char *path, size_t bytes);
/* The address of the plug-in's one symbol. ERR_UNSUPPORTED says why it cannot be loaded. */
tutti_status tt_plugin_load(const char *path, const char *symbol, void **address);

#endif /* TT_BASE_PLUGIN_H */
