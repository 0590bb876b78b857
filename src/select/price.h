/* SPDX-License-Identifier: Apache-2.0
 *
 * price.h - the price of an algorithm, and the machine of the same constants on which its plans are simulated.
 */
#ifndef TT_SELECT_PRICE_H
#define TT_SELECT_PRICE_H

#include "select/select.h"

/* Fills the candidate's times. */
void tt_price(const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_candidate *candidate);
/* How many pieces of a reasonable size the call's rows have; less than 1 where they are smaller than one. */
double tt_price_pieces(
    const struct tt_select_facts *facts, const struct tt_select_call *call, const struct tt_algorithm *algorithm);
void tt_price_machine(
    const struct tt_select_facts *facts, const struct tt_select_call *call, struct tt_machine *machine);

#endif /* TT_SELECT_PRICE_H */
