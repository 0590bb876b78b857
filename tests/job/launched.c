/* SPDX-License-Identifier: Apache-2.0
 *
 * launched.c - a rank under some launcher: makes communicators from the environment, sums over them, says what it saw.
 *
 *     launched [CALLS [LINGER_MS]]   CALLS communicators (1), all open at the same time; rank 1 stays LINGER_MS longer
 *     launched port                  prints a TCP port of 127.0.0.1 that is free now
 *     launched hold PORT             listens on PORT and answers nobody, until its standard input ends
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tutti/tutti.h>

#define MOST_CALLS 8

static int
complain(const char *what)
{
	tutti_error error = TUTTI_ERROR_INIT;

	tutti_last_error(&error);
	printf("%s: %s: %s\n", what, tutti_status_string(error.status), error.message);
	return 1;
}

static int
sum_over(tutti_comm *comm, int64_t *sum)
{
	const int64_t mine = tutti_comm_rank(comm) + 1;

	return tutti_all_reduce(comm, &mine, sum, 1, TUTTI_INT64, TUTTI_SUM, NULL, NULL) == TUTTI_OK
		   ? 0
		   : complain("all_reduce");
}

static int
run(int calls, int linger_ms)
{
	tutti_comm *comm[MOST_CALLS];
	int64_t sum = 0;
	int rank;

	for (int i = 0; i < calls; i++)
		if (tutti_comm_create_from_env(NULL, &comm[i]) != TUTTI_OK)
			return complain("create_from_env");
	for (int i = 0; i < calls; i++)
		if (sum_over(comm[i], &sum) != 0)
			return 1;
	rank = tutti_comm_rank(comm[0]);
	printf("rank %d of %d: sum %lld\n", rank, tutti_comm_size(comm[0]), (long long)sum);
	for (int i = 0; i < calls; i++)
		tutti_comm_destroy(comm[i]);
	if (rank == 1 && linger_ms > 0) {
		usleep((useconds_t)linger_ms * 1000);
		printf("rank 1 lingered\n");
	}
	return 0;
}

static int
listen_on(int port, struct sockaddr_in *where)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t bytes = sizeof(*where);

	memset(where, 0, sizeof(*where));
	where->sin_family = AF_INET;
	where->sin_port = htons((uint16_t)port);
	where->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)where, sizeof(*where)) != 0 || listen(fd, 16) != 0 ||
	    getsockname(fd, (struct sockaddr *)where, &bytes) != 0) {
		perror("launched");
		exit(2);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in where;
	char byte;
	int calls;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && strcmp(argv[1], "port") == 0) {
		listen_on(0, &where);
		printf("%d\n", ntohs(where.sin_port));
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "hold") == 0) {
		listen_on(atoi(argv[2]), &where);
		printf("held\n");
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		return 0;
	}
	calls = argc > 1 ? atoi(argv[1]) : 1;
	if (calls < 1 || calls > MOST_CALLS)
		return 2;
	return run(calls, argc > 2 ? atoi(argv[2]) : 0);
}
