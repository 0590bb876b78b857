/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h - what is true of a process as a whole: its random identity and whether it was forked.
 *
 * This is the one file with process-wide state, because pthread_atfork takes no context: a generation that a
 * fork's child counts up, an identity that it draws anew, and the list of descriptors that it closes (so that it
 * keeps no connection open that its parent's death should close).
 */
#ifndef TT_BASE_PROCESS_H
#define TT_BASE_PROCESS_H

#include <stdint.h>
#include <tutti/tutti.h>

/* Changes in a forked child: an object that remembers another generation was inherited and must not be used. */
uint32_t tt_process_generation(void);
/* 16 random bytes, the same for all threads of this process, others in every other process. */
void tt_process_identity(unsigned char identity[16]);

/* A descriptor that a forked child closes at once. Everything the library opens goes through this pair. */
void tt_fd_guard(int fd);
/* Takes it off the list and closes it; keeps errno. -1 is ignored. */
void tt_fd_close(int fd);

/* 0..n-1 unpredictable bytes (getrandom). */
void tt_random(void *bytes, size_t n);

#endif /* TT_BASE_PROCESS_H */
