/* SPDX-License-Identifier: Apache-2.0
 *
 * pmix_client.h - what a PMIx server knows and carries, through the plug-in tutti-pmix.so.
 *
 * The library never links PMIx. The plug-in is looked for next to the library and in its plug-in folder, loaded at
 * most once per process, and only if somebody calls one of these.
 */
#ifndef TT_BOOTSTRAP_PMIX_CLIENT_H
#define TT_BOOTSTRAP_PMIX_CLIENT_H

#include "bootstrap/identity.h"

/* ERR_UNSUPPORTED: there is no plug-in, or it found no server; the record says which. */
tutti_status tt_pmix_job(int *size, int *local_rank, int *local_size);
/* A tt_id_exchange; `context` is the number of the call, an unsigned. ERR_UNSUPPORTED as above, and then nothing
 * was exchanged. */
tutti_status tt_pmix_exchange(void *context, int rank, tutti_unique_id *id, int64_t deadline_ns);

#endif /* TT_BOOTSTRAP_PMIX_CLIENT_H */
