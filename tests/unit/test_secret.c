/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secret.c - the job's secret: who may hold it where, and that every reader gets the same.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "bootstrap/identity.h"

#define SECRET "0123456789abcdef"

static char directory[] = "/tmp/tutti-secret-XXXXXX";
static char path[64];
static unsigned char digest[TT_KEY_BYTES];
static bool found;

static void
make_directory(void)
{
	cr_assert(mkdtemp(directory) != NULL);
	snprintf(path, sizeof(path), "%s/secret", directory);
}

static void
remove_directory(void)
{
	unlink(path);
	rmdir(path);
	rmdir(directory);
}

TestSuite(secret, .init = make_directory, .fini = remove_directory);

static void
write_file(const void *bytes, size_t n, mode_t mode)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(eq(int, (int)write(fd, bytes, n), (int)n));
	fchmod(fd, mode);
	close(fd);
}

static int
make_memfd(const char *text)
{
	const int fd = memfd_create("secret", MFD_CLOEXEC);

	cr_assert(eq(int, (int)write(fd, text, strlen(text)), (int)strlen(text)));
	return fd;
}

static bool
message_has(const char *text)
{
	return strstr(tt_last_error()->message, text) != NULL;
}

Test(secret, none_is_not_an_error)
{
	static const unsigned char zeros[TT_KEY_BYTES];

	memset(digest, 7, sizeof(digest));
	found = true;
	cr_assert(eq(int, tt_secret_read(-1, NULL, digest, &found), TUTTI_OK));
	cr_assert(not(found));
	cr_assert(memcmp(digest, zeros, sizeof(digest)) == 0);
}

Test(secret, a_descriptor_can_be_read_again_and_again)
{
	const int fd = make_memfd(SECRET);
	unsigned char again[TT_KEY_BYTES];

	cr_assert(eq(int, tt_secret_read(fd, NULL, digest, &found), TUTTI_OK));
	cr_assert(found);
	cr_assert(eq(int, tt_secret_read(fd, NULL, again, &found), TUTTI_OK));
	cr_assert(memcmp(digest, again, sizeof(digest)) == 0);
	close(fd);
}

Test(secret, file_and_descriptor_with_the_same_bytes_agree_whatever_ends_the_line)
{
	const int fd = make_memfd(SECRET);
	unsigned char file[TT_KEY_BYTES];

	write_file(SECRET "\r\n", sizeof(SECRET) + 1, 0600);
	cr_assert(eq(int, tt_secret_read(fd, NULL, digest, &found), TUTTI_OK));
	cr_assert(eq(int, tt_secret_read(-1, path, file, &found), TUTTI_OK));
	cr_assert(memcmp(digest, file, sizeof(digest)) == 0);
	write_file("X" SECRET, sizeof(SECRET), 0400);
	cr_assert(eq(int, tt_secret_read(-1, path, file, &found), TUTTI_OK));
	cr_assert(memcmp(digest, file, sizeof(digest)) != 0);
	close(fd);
}

Test(secret, a_file_that_others_may_open_is_refused_with_the_remedy)
{
	static const mode_t modes[] = {0644, 0640, 0604, 0620, 0602, 0610, 0601, 0666};

	for (size_t i = 0; i < TT_COUNT_OF(modes); i++) {
		write_file(SECRET, sizeof(SECRET), modes[i]);
		cr_assert(
		    eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH), "%04o", (unsigned)modes[i]);
		cr_assert(message_has("chmod 600"));
	}
}

Test(secret, a_file_of_another_user_is_refused)
{
	if (geteuid() != 0)
		cr_skip_test("only root can give a file away");
	write_file(SECRET, sizeof(SECRET), 0600);
	cr_assert(eq(int, chown(path, 65534, (gid_t)-1), 0));
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH));
	cr_assert(message_has("belongs to user 65534"));
}

Test(secret, too_short_and_too_long_are_refused)
{
	static char large[4097];

	write_file(SECRET, sizeof(SECRET) - 2, 0600);
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH));
	cr_assert(message_has("less than 16"));
	/* Ends of lines do not count. */
	write_file("abc\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", 21, 0600);
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH));
	write_file("", 0, 0600);
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH));
	memset(large, '\n', sizeof(large));
	write_file(large, sizeof(large), 0600);
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH));
	cr_assert(message_has("more than 4096"));
}

Test(secret, what_is_no_file_is_refused_at_once)
{
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_SYSTEM));
	cr_assert(message_has(path));
	cr_assert(eq(int, mkfifo(path, 0600), 0));
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH));
	unlink(path);
	cr_assert(eq(int, mkdir(path, 0700), 0));
	cr_assert(eq(int, tt_secret_read(-1, path, digest, &found), TUTTI_ERR_AUTH));
}

Test(secret, a_descriptor_that_was_closed_on_the_way_is_explained)
{
	int pipes[2];

	cr_assert(eq(int, tt_secret_read(999, NULL, digest, &found), TUTTI_ERR_AUTH));
	cr_assert(message_has("TUTTI_SECRET_FD=999"));
	/* Its number belongs to something else by now. */
	cr_assert(eq(int, pipe(pipes), 0));
	cr_assert(eq(int, tt_secret_read(pipes[0], NULL, digest, &found), TUTTI_ERR_AUTH));
	close(pipes[0]);
	close(pipes[1]);
}
