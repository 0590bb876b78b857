/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - heap memory on lines of its own.
 *
 * Every block is aligned and rounded to TT_LINE, so that what two threads write to two blocks never shares a line.
 */
#include "base/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"

static tutti_status
take(size_t n, size_t size, const char *what, void **memory, size_t *taken)
{
	size_t bytes, padded;
	void *block;

	if (!tt_mul_size(n, size, &bytes) || !tt_add_size(bytes, TT_LINE, &padded))
		return tt_fail(
		    TUTTI_ERR_NOMEM, -1, "%zu times %zu bytes for %s is more than memory can be", n, size, what);
	padded = bytes == 0 ? TT_LINE : tt_round_up(bytes, TT_LINE);
	block = aligned_alloc(TT_LINE, padded);
	if (block == NULL)
		return tt_fail(TUTTI_ERR_NOMEM, -1, "no memory: %zu bytes for %s", bytes, what);
	*memory = block;
	*taken = padded;
	return TUTTI_OK;
}

tutti_status
tt_alloc(size_t n, size_t size, const char *what, void **memory)
{
	size_t taken = 0;

	TT_TRY(take(n, size, what, memory, &taken));
	memset(*memory, 0, taken);
	return TUTTI_OK;
}

tutti_status
tt_alloc_bare(size_t n, size_t size, const char *what, void **memory)
{
	size_t taken = 0;

	return take(n, size, what, memory, &taken);
}

void
tt_free(void *memory)
{
	free(memory);
}

/* Linux 5.14; older headers do not name it, and older kernels refuse it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void
tt_touch_ahead(void *memory, size_t bytes)
{
	const int before = errno;
	const long page = sysconf(_SC_PAGESIZE);
	const size_t in_page = page > 0 ? (uintptr_t)memory % (size_t)page : 0;

	(void)madvise((char *)memory - in_page, bytes + in_page, MADV_POPULATE_WRITE);
	errno = before;
}

tutti_status
tt_strdup(const char *text, char **copy)
{
	void *memory = NULL;
	size_t bytes;

	if (text == NULL) {
		*copy = NULL;
		return TUTTI_OK;
	}
	bytes = strlen(text) + 1;
	TT_TRY(tt_alloc(bytes, 1, "a text", &memory));
	memcpy(memory, text, bytes);
	*copy = memory;
	return TUTTI_OK;
}
