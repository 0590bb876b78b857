/* SPDX-License-Identifier: Apache-2.0
 *
 * segment.c - the sealed memfd: made or taken over, checked, mapped and held.
 *
 * A file whose size nobody can change is safe to map, so the seals are checked before anything else. The mapping is
 * counted: ranks that are threads of one process share it.
 */
#include "base/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/segment_layout.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define MAGIC UINT64_C(0x3167657374747574)
#define LEAST_SIZE ((size_t)1 << 26) /* smaller ones are of no use to anybody */
#define USUAL_LEAST ((size_t)1 << 30)
#define MOST_SIZE ((size_t)1 << 44)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static size_t
limit_of(__rlimit_resource_t resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > MOST_SIZE)
		return MOST_SIZE;
	return (size_t)limit.rlim_cur;
}

/* A power of two: the machine's memory, as far as the limits of this process go. */
static size_t
wanted_size(void)
{
	const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	size_t want = USUAL_LEAST;
	/* Beyond RLIMIT_FSIZE, ftruncate raises a signal. Of the address space others need a part too. */
	const size_t most = tt_min_size(limit_of(RLIMIT_FSIZE), limit_of(RLIMIT_AS) / 4);

	while (pages > 0 && page > 0 && want / (size_t)page < (size_t)pages && want < MOST_SIZE)
		want *= 2;
	while (want > most && want >= LEAST_SIZE)
		want /= 2;
	return want;
}

static int
open_memfd(void)
{
	/* Some systems refuse a memfd that could be executed, older ones do not know how to say so. */
	int fd = memfd_create("tutti", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("tutti", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static unsigned char *
map(int fd, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (base == MAP_FAILED)
		return NULL;
	/* A forked child must not hold the job's memory, and a core file must not hold the machine's. */
	madvise(base, size, MADV_DONTFORK);
	madvise(base, size, MADV_DONTDUMP);
	return base;
}

/* Gives an empty memfd its size and maps it: as much as the address space allows. */
static tutti_status
size_and_map(struct tt_segment *segment)
{
	size_t size = wanted_size();

	for (; size >= LEAST_SIZE; size /= 2) {
		if (ftruncate(segment->fd, (off_t)size) != 0)
			return tt_fail_errno("cannot give shared memory a size of %zu bytes", size);
		segment->base = map(segment->fd, size);
		if (segment->base != NULL) {
			segment->size = size;
			return TUTTI_OK;
		}
		if (errno != ENOMEM)
			return tt_fail_errno("cannot map shared memory");
	}
	return tt_fail(TUTTI_ERR_NOMEM, -1,
	    "shared memory needs %zu MiB of address space and of file size: raise the limits (ulimit -v, ulimit -f)",
	    LEAST_SIZE >> 20);
}

static tutti_status
init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;
	int result = pthread_mutexattr_init(&attributes);

	if (result == 0) {
		result = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
		if (result == 0)
			result = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
		if (result == 0)
			result = pthread_mutex_init(lock, &attributes);
		pthread_mutexattr_destroy(&attributes);
	}
	if (result == 0)
		return TUTTI_OK;
	errno = result;
	return tt_fail_errno("cannot make a lock in shared memory");
}

static tutti_status
format(struct tt_segment *segment)
{
	struct tt_segment_head *head = tt_segment_head_of(segment);

	TT_TRY(tt_segment_fill(segment->fd, 0, tt_segment_reserved(segment->size)));
	TT_TRY(init_lock(&head->lock));
	tt_random(head->id, sizeof(head->id));
	head->size = segment->size;
	head->magic = MAGIC;
	if (fcntl(segment->fd, F_ADD_SEALS, SEALS) != 0)
		return tt_fail_errno("cannot seal the size of shared memory");
	return TUTTI_OK;
}

static tutti_status
make(struct tt_segment **segment)
{
	void *memory;

	TT_TRY(tt_alloc(1, sizeof(struct tt_segment), "a shared segment", &memory));
	*segment = memory;
	(*segment)->fd = -1;
	tt_store_relaxed(&(*segment)->holders, 1);
	return TUTTI_OK;
}

static void
destroy(struct tt_segment *segment)
{
	if (segment->base != NULL)
		munmap(segment->base, segment->size);
	tt_fd_close(segment->fd);
	tt_free(segment);
}

tutti_status
tt_segment_create(struct tt_segment **segment)
{
	struct tt_segment *made;
	tutti_status status;

	TT_TRY(make(&made));
	made->fd = open_memfd();
	tt_fd_guard(made->fd);
	status = made->fd < 0 ? tt_fail_errno("cannot make shared memory (memfd_create)") : size_and_map(made);
	if (status == TUTTI_OK)
		status = format(made);
	if (status != TUTTI_OK) {
		destroy(made);
		return status;
	}
	*segment = made;
	return TUTTI_OK;
}

/* A file whose size nobody can change is safe to map: no access inside it can end in SIGBUS for want of a file. */
static tutti_status
check_file(int fd, size_t *size)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat file;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a process of this node offered memory whose size is not sealed");
	if (fstat(fd, &file) != 0)
		return tt_fail_errno("cannot look at shared memory");
	if (!S_ISREG(file.st_mode) || file.st_size < (off_t)LEAST_SIZE || file.st_size > (off_t)MOST_SIZE ||
	    (file.st_size & (file.st_size - 1)) != 0)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a process of this node offered memory of %lld bytes, no segment",
		    (long long)file.st_size);
	*size = (size_t)file.st_size;
	return TUTTI_OK;
}

static tutti_status
attach(struct tt_segment *segment)
{
	TT_TRY(check_file(segment->fd, &segment->size));
	segment->base = map(segment->fd, segment->size);
	if (segment->base == NULL)
		return tt_fail_errno(
		    "cannot map %zu GiB of the node's shared memory (ulimit -v?)", segment->size >> 30);
	if (tt_segment_head_of(segment)->magic != MAGIC || tt_segment_head_of(segment)->size != segment->size)
		return tt_fail(TUTTI_ERR_AUTH, -1, "a process of this node offered memory that is no segment");
	return TUTTI_OK;
}

tutti_status
tt_segment_open(int fd, struct tt_segment **segment)
{
	struct tt_segment *made;
	tutti_status status = make(&made);

	if (status != TUTTI_OK) {
		tt_fd_close(fd);
		return status;
	}
	made->fd = fd;
	tt_fd_guard(fd);
	status = attach(made);
	if (status != TUTTI_OK) {
		destroy(made);
		return status;
	}
	*segment = made;
	return TUTTI_OK;
}

struct tt_segment *
tt_segment_share(struct tt_segment *segment)
{
	tt_fetch_add_relaxed(&segment->holders, 1);
	return segment;
}

void
tt_segment_close(struct tt_segment *segment)
{
	/* Pairs with itself: the last holder sees all that the others did before they let go. */
	if (segment != NULL && tt_fetch_add_acq_rel(&segment->holders, UINT32_MAX) == 1)
		destroy(segment);
}

int
tt_segment_fd(const struct tt_segment *segment)
{
	return segment->fd;
}

void
tt_segment_id(const struct tt_segment *segment, unsigned char *id)
{
	memcpy(id, tt_segment_head_of(segment)->id, TT_SEGMENT_ID);
}

void *
tt_segment_at(const struct tt_segment *segment, uint64_t offset)
{
	return offset < segment->size ? segment->base + offset : NULL;
}

int
tt_segment_find(const struct tt_segment *segment, const void *p, size_t n, uint64_t *offset)
{
	const uintptr_t from = (uintptr_t)segment->base, at = (uintptr_t)p;

	if (at < from || at - from > segment->size || n > segment->size - (at - from))
		return 0;
	*offset = at - from;
	return 1;
}
