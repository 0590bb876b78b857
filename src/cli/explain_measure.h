/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_measure.h - what the algorithms really take, beside what was predicted.
 */
#ifndef TT_CLI_EXPLAIN_MEASURE_H
#define TT_CLI_EXPLAIN_MEASURE_H

#include <tutti/tutti.h>

/* report: of tutti_explain() as JSON, the same on every rank. All ranks take part; rank 0 prints a table. Exit status. */
int tt_explain_measure(tutti_comm *comm, const char *collective, size_t bytes, const char *report);

#endif /* TT_CLI_EXPLAIN_MEASURE_H */
