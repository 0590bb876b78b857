/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - what a test sees and needs of the machine (see job.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "job.h"

long long
job_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void
job_sleep_us(long us)
{
	struct timespec rest = {us / 1000000, us % 1000000 * 1000};

	while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
		;
}

int
job_number(const char *option, const char *text, int least, int most)
{
	char *end;
	const long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < least || value > most) {
		fprintf(stderr, "%s: \"%s\" is not a number from %d to %d\n", option, text, least, most);
		exit(2);
	}
	return (int)value;
}

/* ---- a place of one's own --------------------------------------------------------------------------------------- */

static bool
write_file(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);
	const bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static bool
become_root_of_user_namespace(void)
{
	char map[64];
	const unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();

	if (unshare(CLONE_NEWUSER) < 0)
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (!write_file("/proc/self/uid_map", map) || !write_file("/proc/self/setgroups", "deny"))
		return false;
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return write_file("/proc/self/gid_map", map);
}

static bool
loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	if (fd >= 0)
		close(fd);
	return up;
}

const char *
job_isolate(void)
{
	static char reason[128];
	const char *step = "user namespace";
	bool done = geteuid() == 0 || become_root_of_user_namespace();

	if (done) {
		step = "namespaces";
		done = unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC) == 0;
	}
	if (done) {
		step = "private /dev/shm";
		done = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		       mount("job", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
	}
	if (done) {
		step = "loopback";
		done = loopback_up();
	}
	if (done)
		return NULL;
	snprintf(reason, sizeof(reason), "%s: %s", step, strerror(errno));
	return reason;
}

/* ---- traces ------------------------------------------------------------------------------------------------------ */

static int
entries(const char *path)
{
	DIR *directory = opendir(path);
	int n = 0;

	if (directory == NULL)
		return 0;
	for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
		n += entry->d_name[0] != '.';
	closedir(directory);
	return n;
}

int
job_descriptors(void)
{
	return entries("/proc/self/fd") - 1; /* the folder itself was open */
}

int
job_shared_files(void)
{
	return entries("/dev/shm");
}

int
job_abstract_sockets(void)
{
	FILE *file = fopen("/proc/self/net/unix", "re");
	char line[512];
	int n = 0;

	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		n += strchr(line, '@') != NULL;
	fclose(file);
	return n;
}
