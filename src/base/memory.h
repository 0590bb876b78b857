/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.h - the library's own heap memory: zeroed unless it says otherwise, and a failure is an error record.
 */
#ifndef TT_BASE_MEMORY_H
#define TT_BASE_MEMORY_H

#include <tutti/tutti.h>

/* n * size zeroed bytes, aligned to TT_LINE, freed with tt_free. TUTTI_ERR_NOMEM names `what`. */
tutti_status tt_alloc(size_t n, size_t size, const char *what, void **memory);
/* The same with anything in it: for room of which most may never be used, and what is not takes no memory. */
tutti_status tt_alloc_bare(size_t n, size_t size, const char *what, void **memory);
void tt_free(void *memory);
/* The pages from `memory` on are there before they are touched: each of them costs a fault otherwise, here all together
 * hardly more than one. What cannot be is left as it is. */
void tt_touch_ahead(void *memory, size_t bytes);
/* A copy of `text`, NULL for NULL. */
tutti_status tt_strdup(const char *text, char **copy);

#endif /* TT_BASE_MEMORY_H */
