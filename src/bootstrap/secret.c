/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.c - the job's secret from an inherited descriptor or a file.
 *
 * Read anew each time and by position, so that any number of threads and communicators can share one descriptor;
 * only a digest leaves this file. A secret that others can read is refused, not used with a warning.
 */
#include "bootstrap/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"

#define LEAST_BYTES 16
#define MOST_BYTES 4096

/* Up to `capacity` bytes from the beginning; -1 with errno. */
static ssize_t
read_from_start(int fd, unsigned char *bytes, size_t capacity)
{
	size_t n = 0;

	while (n < capacity) {
		const ssize_t got = pread(fd, bytes + n, capacity - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

static tutti_status
digest_of(int fd, const char *what, unsigned char digest[TT_KEY_BYTES])
{
	unsigned char bytes[MOST_BYTES + 1];
	ssize_t n = read_from_start(fd, bytes, sizeof(bytes));

	if (n < 0)
		return tt_fail_errno(
		    "the job's secret cannot be read from %s (it has to be a file or a memfd)", what);
	/* Editors and `echo` end a line: copies that differ in that are the same secret. */
	while (n > 0 && n <= MOST_BYTES && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
		n--;
	if (n >= LEAST_BYTES && n <= MOST_BYTES)
		crypto_generichash(digest, TT_KEY_BYTES, bytes, (size_t)n, NULL, 0);
	sodium_memzero(bytes, sizeof(bytes));
	if (n < LEAST_BYTES || n > MOST_BYTES)
		return tt_fail(TUTTI_ERR_AUTH, -1,
		    "the job's secret in %s has %s than %d bytes: write it with, say, `openssl rand -hex 32`", what,
		    n < LEAST_BYTES ? "less" : "more", n < LEAST_BYTES ? LEAST_BYTES : MOST_BYTES);
	return TUTTI_OK;
}

static tutti_status
check_file(int fd, const char *path)
{
	struct stat s;

	if (fstat(fd, &s) != 0)
		return tt_fail_errno("TUTTI_SECRET_FILE=\"%s\" cannot be examined", path);
	if (!S_ISREG(s.st_mode))
		return tt_fail(TUTTI_ERR_AUTH, -1, "TUTTI_SECRET_FILE=\"%s\" is not a file", path);
	if (s.st_uid != geteuid() && s.st_uid != 0)
		return tt_fail(TUTTI_ERR_AUTH, -1,
		    "TUTTI_SECRET_FILE=\"%s\" belongs to user %u, not to this one: use a file of your own", path,
		    (unsigned)s.st_uid);
	if ((s.st_mode & 077) != 0)
		return tt_fail(TUTTI_ERR_AUTH, -1,
		    "TUTTI_SECRET_FILE=\"%s\" is open to other users (mode %04o): run `chmod 600` on it and change "
		    "the "
		    "secret",
		    path, (unsigned)(s.st_mode & 07777));
	return TUTTI_OK;
}

static tutti_status
from_file(const char *path, unsigned char digest[TT_KEY_BYTES])
{
	/* O_NONBLOCK: a FIFO under that name must not make us wait. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char what[160];
	tutti_status status;

	if (fd < 0)
		return tt_fail_errno("TUTTI_SECRET_FILE=\"%s\" cannot be opened", path);
	tt_fd_guard(fd);
	snprintf(what, sizeof(what), "TUTTI_SECRET_FILE=\"%.100s\"", path);
	status = check_file(fd, path);
	if (status == TUTTI_OK)
		status = digest_of(fd, what, digest);
	tt_fd_close(fd);
	return status;
}

static tutti_status
from_descriptor(int fd, unsigned char digest[TT_KEY_BYTES])
{
	char what[40];
	struct stat s;

	if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
		return tt_fail(TUTTI_ERR_AUTH, -1,
		    "TUTTI_SECRET_FD=%d is not an open file here: a program between the launcher and this one has "
		    "closed it (in Python: pass_fds or close_fds=False)",
		    fd);
	snprintf(what, sizeof(what), "TUTTI_SECRET_FD=%d", fd);
	return digest_of(fd, what, digest);
}

tutti_status
tt_secret_read(int secret_fd, const char *secret_file, unsigned char digest[TT_KEY_BYTES], bool *found)
{
	memset(digest, 0, TT_KEY_BYTES);
	*found = false;
	if (secret_fd >= 0)
		TT_TRY(from_descriptor(secret_fd, digest));
	else if (secret_file != NULL && *secret_file != '\0')
		TT_TRY(from_file(secret_file, digest));
	else
		return TUTTI_OK;
	*found = true;
	return TUTTI_OK;
}
