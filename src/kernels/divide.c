/* SPDX-License-Identifier: Apache-2.0
 *
 * divide.c - integer division of a block in place.
 *
 * The rule: the result is the quotient rounded toward zero, whatever computes it. Values of up to 32 bits are divided
 * as doubles, of up to 16 bits as floats, which vectors can do. A quotient that is not whole differs from a whole
 * number by at least 1 / divisor, far more than a rounding moves it; a divisor that float cannot hold is so great
 * that the quotient is less than one.
 */
#include <string.h>

#include "kernels/divide.h"

#define DIVIDE(form, type, wide) \
	void tt_divide_##form(void *values, size_t bytes, uint32_t divisor) \
	{ \
		for (char *at = values, *end = at + bytes; at < end; at += sizeof(type)) { \
			type value; \
			memcpy(&value, at, sizeof value); \
			value = (type)((wide)value / (wide)divisor); \
			memcpy(at, &value, sizeof value); \
		} \
	}

DIVIDE(int8, int8_t, float)
DIVIDE(uint8, uint8_t, float)
DIVIDE(int16, int16_t, float)
DIVIDE(uint16, uint16_t, float)
DIVIDE(int32, int32_t, double)
DIVIDE(uint32, uint32_t, double)
DIVIDE(int64, int64_t, int64_t)
DIVIDE(uint64, uint64_t, uint64_t)
