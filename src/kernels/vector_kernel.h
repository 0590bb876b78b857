/* SPDX-License-Identifier: Apache-2.0
 *
 * vector_kernel.h - the loop of every vector kernel; a template, included once per kernel.
 *
 * NAME: the kernel. LOAD(from): reads a block of SIZE bytes. COMBINE(x, y): combines two accumulators.
 * STORE(to, x, finish): finishes a block and writes it. ELEMENT: bytes of an element. DIVIDES_AS, if defined, is the
 * place in the table of a kernel whose STORE cannot divide: the reference does that, nobody needs it fast.
 * OTHERWISE, if defined, is the kernel for what this one cannot do: more than two sources, and a finish. TARGET is
 * what the functions need beyond the file's flags. AHEAD, if defined, is how many bytes before they are loaded the
 * sources are asked for.
 * NAME, LOAD, COMBINE, STORE and OTHERWISE are undefined again at the end; the others stay for the form's next kernel.
 *
 * A block of every source is loaded before the block of dst is stored, and later blocks never look back: that is
 * why dst may be any of the sources. The rest that is no whole block passes through a buffer of zeros, where the
 * same code works on it: there is no second path that could round in another way.
 */
#define TEMPLATE_JOIN(a, b) a##b
#define TEMPLATE_NAME(a, b) TEMPLATE_JOIN(a, b)
#define COMBINED TEMPLATE_NAME(NAME, _combined)
#define BODY TEMPLATE_NAME(NAME, _body)

INLINE TARGET struct block
COMBINED(struct block x, struct block y) {
	return (struct block){COMBINE(x.a, y.a), COMBINE(x.b, y.b), COMBINE(x.c, y.c), COMBINE(x.d, y.d)};
}

INLINE TARGET void
BODY(uint8_t *dst, const void *const *src, int k, size_t bytes, const struct finish *finish)
{
	size_t at = 0;

#if defined(AHEAD)
	sources_ask(src, k, 0, bytes < AHEAD ? bytes : AHEAD);
#endif
	for (; bytes - at >= SIZE; at += SIZE) {
#if defined(AHEAD)
		if (bytes - at >= AHEAD + SIZE)
			sources_ask(src, k, at + AHEAD, SIZE);
#endif
		struct block x = LOAD((const uint8_t *)src[0] + at);
		for (int j = 1; j < k; j++)
			x = COMBINED(x, LOAD((const uint8_t *)src[j] + at));
		STORE(dst + at, x, finish);
	}
	if (at < bytes) {
		uint8_t rest[SIZE] TT_ALIGNED(VECTOR_BYTES) = {0};

		partial_load(rest, (const uint8_t *)src[0] + at, bytes - at);
		struct block x = LOAD(rest);
		for (int j = 1; j < k; j++) {
			partial_load(rest, (const uint8_t *)src[j] + at, bytes - at);
			x = COMBINED(x, LOAD(rest));
		}
		STORE(rest, x, finish);
		partial_store(dst + at, rest, bytes - at);
	}
}

/* Two sources are the step of every ring and tree, and get a loop of their own. */
static TARGET void
NAME(void *dst, const void *const *src, int k, size_t count, enum tt_finish finish, uint32_t divisor)
{
#if defined(DIVIDES_AS)
	if (TT_UNLIKELY(finish == TT_FINISH_DIVIDE)) {
		tt_kernels_reference.reduce DIVIDES_AS(dst, src, k, count, finish, divisor);
		return;
	}
#endif
#if defined(OTHERWISE)
	if (TT_UNLIKELY(k > 2 || finish != TT_FINISH_NONE)) {
		OTHERWISE(dst, src, k, count, finish, divisor);
		return;
	}
#endif
	const uint64_t mode = tt_fp_enter();
	const struct finish how = finish_prepare(finish, divisor);

	if (k == 2)
		BODY(dst, src, 2, count * ELEMENT, &how);
	else
		BODY(dst, src, k, count * ELEMENT, &how);
	tt_fp_leave(mode);
}

#undef TEMPLATE_JOIN
#undef TEMPLATE_NAME
#undef COMBINED
#undef BODY
#undef NAME
#undef LOAD
#undef COMBINE
#undef STORE
#undef OTHERWISE
