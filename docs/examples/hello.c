/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <tutti/tutti.h>

int
main(void)
{
	tutti_error error = TUTTI_ERROR_INIT;
	tutti_comm *comm;
	float sum, mine;

	if (tutti_comm_create_from_env(NULL, &comm) != TUTTI_OK)
		goto failed;
	mine = (float)(tutti_comm_rank(comm) + 1);
	if (tutti_all_reduce(comm, &mine, &sum, 1, TUTTI_FLOAT32, TUTTI_SUM, NULL, NULL) != TUTTI_OK)
		goto failed;
	printf("rank %d of %d: the sum is %g\n", tutti_comm_rank(comm), tutti_comm_size(comm), sum);
	return tutti_comm_destroy(comm) != TUTTI_OK;
failed:
	tutti_last_error(&error);
	fprintf(stderr, "%s: %s\n", tutti_status_string(error.status), error.message);
	return 1;
}
