/* SPDX-License-Identifier: Apache-2.0
 *
 * neon_selftest.c - the NEON kernels against the reference, on aarch64 or an emulator of it.
 *
 * A plain program that speaks TAP: it has to run where no test framework was built.
 */
#include "compare.h"
#include "kernels/sets.h"

enum { STEP = 13 }; /* an emulator is slow */

int
main(void)
{
	struct arena arena;
	char why[400];
	int number = 0, failures = 0;

	if (!arena_init(&arena, 65536 * 8)) {
		printf("Bail out! no memory\n");
		return 1;
	}
	for (int dtype = 0; dtype <= TUTTI_BOOL; dtype++)
		for (int op = 0; op <= TUTTI_BXOR; op++) {
			if (!tt_op_allows(op, (tutti_dtype)dtype, NULL))
				continue;
			const bool good =
			    set_agrees(&tt_kernels_neon, (tutti_dtype)dtype, op, STEP, &arena, why, sizeof why);
			printf("%sok %d - neon_kernels/%s_%s_equals_the_reference\n", good ? "" : "not ", ++number,
			    tt_dtype_name((tutti_dtype)dtype), tt_op_name(op));
			if (!good) {
				printf("# %s\n", why);
				failures++;
			}
		}
	printf("1..%d\n", number);
	arena_fini(&arena);
	return failures != 0;
}
