/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.h - between the library and its plug-in tutti-pmix.so, which alone knows PMIx.
 *
 * PMIx promises no stable binary interface, and few hosts have it: so what uses it is a file of its own. Errors
 * come back as a status and a sentence, because the record of the latest failure is the library's.
 */
#ifndef TT_BOOTSTRAP_PMIX_PLUGIN_H
#define TT_BOOTSTRAP_PMIX_PLUGIN_H

#include <tutti/tutti.h>

#define TT_PMIX_SYMBOL "tutti_pmix_plugin"
#define TT_PMIX_WHY 256

struct tt_pmix_plugin {
	size_t size; /* of this struct: another one is another version */
	/* The job as its server counts it; -1 for what it does not know. ERR_UNSUPPORTED: no server. Any thread. */
	tutti_status (*job)(int *size, int *local_rank, int *local_size, char why[TT_PMIX_WHY]);
	/* Collective: rank 0's `bytes` of value under `key` to all. -1 ms = no limit. ERR_UNSUPPORTED: no server;
	 * ERR_TIMEOUT; ERR_SYSTEM: PMIx failed; ERR_ARGUMENT: something else is under the key. */
	tutti_status (*exchange)(
	    int rank, const char *key, void *value, size_t bytes, int64_t timeout_ms, char why[TT_PMIX_WHY]);
};

extern const struct tt_pmix_plugin tutti_pmix_plugin;

#endif /* TT_BOOTSTRAP_PMIX_PLUGIN_H */
