/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.h - the library's own heap memory: zeroed, and a failure is an error record.
 */
#ifndef TT_BASE_MEMORY_H
#define TT_BASE_MEMORY_H

#include <tutti/tutti.h>

/* n * size zeroed bytes, aligned to TT_LINE, freed with tt_free. TUTTI_ERR_NOMEM names `what`. */
tutti_status tt_alloc(size_t n, size_t size, const char *what, void **memory);
void tt_free(void *memory);
/* A copy of `text`, NULL for NULL. */
tutti_status tt_strdup(const char *text, char **copy);

#endif /* TT_BASE_MEMORY_H */
