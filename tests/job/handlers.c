/* SPDX-License-Identifier: Apache-2.0
 *
 * handlers.c - what the program does on signals stays what it was, whatever a communicator loads: libraries behind
 * libfabric take SIGINT, SIGTERM and the signals of a crash for themselves.
 *
 *     handlers TRANSPORTS
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "job.h"

static void
own_handler(int number)
{
	(void)number;
}

static int
compare(struct job_rank *me, const struct sigaction *before)
{
	for (int s = 1; s < NSIG; s++) {
		struct sigaction now;

		if (sigaction(s, NULL, &now) == 0 && now.sa_handler != before[s].sa_handler)
			return job_complain(me, "signal %d has another handler than before", s);
	}
	return 0;
}

static int
body(struct job_rank *me)
{
	tutti_config config = TUTTI_CONFIG_INIT;
	struct sigaction before[NSIG] = {{.sa_flags = 0}}, own = {.sa_handler = own_handler};
	tutti_comm *comm;
	tutti_status status;
	int failed;

	if (sigaction(SIGTERM, &own, NULL) != 0)
		return job_complain(me, "cannot set a handler");
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, NULL, &before[s]);
	config.transports = me->context;
	status = job_comm(me, &config, &comm);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "creation");
	failed = compare(me, before);
	status = tutti_barrier(comm, NULL, NULL);
	if (status != TUTTI_OK)
		return job_complain_status(me, status, "a barrier");
	failed |= compare(me, before);
	(void)tutti_comm_destroy(comm);
	return failed;
}

int
main(int argc, char **argv)
{
	struct job job = {.size = 2, .limit_s = 60, .context = argc > 1 ? argv[1] : "shm"};

	return job_run(&job, body, "handlers");
}
