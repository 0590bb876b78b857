/* SPDX-License-Identifier: Apache-2.0
 *
 * run_tree.c - finds and ends all descendants of this process.
 *
 * A subreaper inherits every process below it whose parent has ended, so the tree can be walked over parents
 * alone, and a wait that finds no child proves that no descendant is left.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/run_children.h"

struct process {
	pid_t pid, parent;
	bool below; /* a descendant of ours */
};

/* The parent is the second field behind the name, which may itself hold brackets and blanks. */
static bool
read_process(const char *name, struct process *process)
{
	char path[300], text[512], *end;
	FILE *file;
	size_t n;
	int parent;

	snprintf(path, sizeof path, "/proc/%s/stat", name);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[n] = '\0';
	end = strrchr(text, ')');
	if (end == NULL || sscanf(end, ") %*c %d", &parent) != 1)
		return false;
	*process = (struct process){(pid_t)strtol(name, NULL, 10), (pid_t)parent, false};
	return true;
}

/* All processes there are; *list is the caller's. */
static size_t
read_processes(struct process **list)
{
	DIR *folder = opendir("/proc");
	size_t n = 0, capacity = 0;
	struct dirent *entry;

	*list = NULL;
	if (folder == NULL)
		return 0;
	while ((entry = readdir(folder)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (n == capacity) {
			size_t wanted = capacity == 0 ? 256 : 2 * capacity;
			struct process *grown = realloc(*list, wanted * sizeof **list);

			if (grown == NULL)
				break;
			*list = grown;
			capacity = wanted;
		}
		n += read_process(entry->d_name, &(*list)[n]);
	}
	closedir(folder);
	return n;
}

static bool
is_below(const struct process *list, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].pid == pid)
			return list[i].below;
	}
	return false;
}

int
tt_tree_signal(int number)
{
	struct process *list;
	size_t n = read_processes(&list);
	const pid_t self = getpid();
	bool changed;
	int found = 0;

	do {
		changed = false;
		for (size_t i = 0; i < n; i++) {
			if (list[i].below || (list[i].parent != self && !is_below(list, n, list[i].parent)))
				continue;
			list[i].below = changed = true;
		}
	} while (changed);
	for (size_t i = 0; i < n; i++) {
		if (list[i].below && kill(list[i].pid, number) == 0)
			found++;
	}
	free(list);
	return found;
}

void
tt_tree_kill_all(void)
{
	const struct timespec pause = {0, 5 * 1000 * 1000};

	/* A process may fork while we look: look again until no child is left. */
	for (int tries = 0; tries < 2000; tries++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid > 0)
			continue;
		if (pid < 0 && errno == ECHILD)
			return;
		tt_tree_signal(SIGKILL);
		nanosleep(&pause, NULL);
	}
}
