/* SPDX-License-Identifier: Apache-2.0
 *
 * tensors.h - what Tutti can move of a tensor: dense host memory in one piece, with a data type it knows.
 *
 * Whatever is laid out differently goes through a copy: `Copies` remembers what has to be copied back once the
 * operation has ended. Complex numbers travel as pairs of real ones.
 */
#ifndef TUTTI_TORCH_TENSORS_H
#define TUTTI_TORCH_TENSORS_H

#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <torch/version.h>
#include <tutti/tutti.h>

#define TUTTI_TORCH_AT_LEAST(major, minor) \
	(TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace tutti_torch
{

/* The user's tensor, and the memory that stands in for it. */
using Copies = std::vector<std::pair<at::Tensor, at::Tensor>>;

struct Kind {
	tutti_dtype dtype;
	size_t parts; /* elements of dtype in an element of the tensor */
};

/* False: a type that cannot be moved, such as a quantized one. */
inline bool
find_kind(at::ScalarType type, Kind &kind)
{
	switch (type) {
	case at::kChar:
		kind = {TUTTI_INT8, 1};
		return true;
	case at::kByte:
		kind = {TUTTI_UINT8, 1};
		return true;
	case at::kShort:
		kind = {TUTTI_INT16, 1};
		return true;
	case at::kInt:
		kind = {TUTTI_INT32, 1};
		return true;
	case at::kLong:
		kind = {TUTTI_INT64, 1};
		return true;
	case at::kHalf:
		kind = {TUTTI_FLOAT16, 1};
		return true;
	case at::kBFloat16:
		kind = {TUTTI_BFLOAT16, 1};
		return true;
	case at::kFloat:
		kind = {TUTTI_FLOAT32, 1};
		return true;
	case at::kDouble:
		kind = {TUTTI_FLOAT64, 1};
		return true;
	case at::kBool:
		kind = {TUTTI_BOOL, 1};
		return true;
	case at::kComplexHalf:
		kind = {TUTTI_FLOAT16, 2};
		return true;
	case at::kComplexFloat:
		kind = {TUTTI_FLOAT32, 2};
		return true;
	case at::kComplexDouble:
		kind = {TUTTI_FLOAT64, 2};
		return true;
#if TUTTI_TORCH_AT_LEAST(2, 1)
	case at::kFloat8_e4m3fn:
		kind = {TUTTI_FLOAT8_E4M3, 1};
		return true;
	case at::kFloat8_e5m2:
		kind = {TUTTI_FLOAT8_E5M2, 1};
		return true;
#endif
#if TUTTI_TORCH_AT_LEAST(2, 3)
	case at::kUInt16:
		kind = {TUTTI_UINT16, 1};
		return true;
	case at::kUInt32:
		kind = {TUTTI_UINT32, 1};
		return true;
	case at::kUInt64:
		kind = {TUTTI_UINT64, 1};
		return true;
#endif
	default:
		return false;
	}
}

/* Throws unless the tensor can be used in `what` ("all_reduce"). */
inline Kind
check(const at::Tensor &tensor, const char *what)
{
	Kind kind;

	TORCH_CHECK(tensor.defined(), "tutti: ", what, " was given an undefined tensor");
	TORCH_CHECK(tensor.layout() == at::kStrided, "tutti: ", what, " does not take sparse tensors (layout ",
	    tensor.layout(), "): use tensor.to_dense(), or Gloo for a module with sparse gradients");
	TORCH_CHECK(tensor.device().is_cpu(), "tutti: ", what, " does not take tensors on ", tensor.device(),
	    ": Tutti moves host memory; use tensor.cpu(), or init_process_group(\"cpu:tutti,cuda:nccl\")");
	TORCH_CHECK(find_kind(tensor.scalar_type(), kind), "tutti: ", what, " does not take tensors of type ",
	    tensor.scalar_type());
	return kind;
}

/* One tensor in one piece. */
struct Flat {
	at::Tensor memory;
	Kind kind;

	void *data() const
	{
		return memory.data_ptr();
	}

	size_t count() const
	{
		return static_cast<size_t>(memory.numel()) * kind.parts;
	}

	size_t bytes() const
	{
		return memory.nbytes();
	}
};

inline bool
in_one_piece(const at::Tensor &tensor)
{
	return tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg();
}

/* A tensor that is read: itself, or a copy in one piece. */
inline Flat
flat_input(const at::Tensor &tensor, const char *what)
{
	const Kind kind = check(tensor, what);

	if (in_one_piece(tensor))
		return {tensor, kind};
	return {tensor.contiguous().resolve_conj().resolve_neg(), kind};
}

/* A tensor that is written: itself, or memory that is copied back. Read, too, if `keep` is set. */
inline Flat
flat_output(const at::Tensor &tensor, const char *what, Copies &copies, bool keep = false)
{
	const Kind kind = check(tensor, what);

	if (in_one_piece(tensor))
		return {tensor, kind};
	copies.emplace_back(
	    tensor, keep ? tensor.contiguous().resolve_conj().resolve_neg()
			 : at::empty(tensor.sizes(), tensor.options().memory_format(at::MemoryFormat::Contiguous)));
	return {copies.back().second, kind};
}

/* A list of tensors, one for each rank, as the rows of one buffer: their own memory if they follow each other in it,
 * else a buffer of the operation's own. */
struct Rows {
	at::Tensor memory; /* keeps `base` */
	char *base;
	Kind kind;
	std::vector<size_t> counts;
	bool even = true;
	size_t total = 0;
	bool own = false; /* the buffer is the operation's own */

	Rows(const std::vector<at::Tensor> &tensors, size_t size, const char *what)
	{
		bool follow = true;

		TORCH_CHECK(tensors.size() == size, "tutti: ", what, " needs a list of ", size,
		    " tensors, one for each rank, not of ", tensors.size());
		for (const at::Tensor &tensor : tensors) {
			const Kind its = check(tensor, what);

			TORCH_CHECK(tensor.scalar_type() == tensors[0].scalar_type(), "tutti: ", what,
			    " needs tensors of one type, not of both ", tensors[0].scalar_type(), " and ",
			    tensor.scalar_type());
			counts.push_back(static_cast<size_t>(tensor.numel()) * its.parts);
			even = even && counts.back() == counts[0];
			follow = follow && in_one_piece(tensor) && tensor.is_alias_of(tensors[0]) &&
				 tensor.data_ptr() ==
				     static_cast<char *>(tensors[0].data_ptr()) + total * tutti_dtype_size(its.dtype);
			total += counts.back();
			kind = its;
		}
		own = !follow;
		memory = follow ? tensors[0]
				: at::empty({static_cast<int64_t>(total / kind.parts)},
				      tensors[0].options().memory_format(at::MemoryFormat::Contiguous));
		base = static_cast<char *>(memory.data_ptr());
	}

	/* What stands for one of the tensors in the operation's own buffer. */
	std::vector<at::Tensor> slices(const std::vector<at::Tensor> &tensors) const
	{
		std::vector<at::Tensor> all;
		int64_t at = 0;

		for (const at::Tensor &tensor : tensors) {
			all.push_back(memory.narrow(0, at, tensor.numel()).view(tensor.sizes()));
			at += tensor.numel();
		}
		return all;
	}

	void read(const std::vector<at::Tensor> &tensors) const
	{
		size_t row = 0;

		if (!own)
			return;
		for (at::Tensor &slice : slices(tensors))
			slice.copy_(tensors[row++]);
	}

	void write_back(const std::vector<at::Tensor> &tensors, Copies &copies) const
	{
		size_t row = 0;

		if (!own)
			return;
		for (at::Tensor &slice : slices(tensors))
			copies.emplace_back(tensors[row++], slice);
	}
};

/* The elements of each rank's part of `tensor`, cut along its first dimension. No sizes: empty, for equal parts. */
inline std::vector<size_t>
split_counts(
    const at::Tensor &tensor, const std::vector<int64_t> &sizes, size_t ranks, size_t parts, const char *side)
{
	std::vector<size_t> counts;
	const int64_t rows = tensor.dim() > 0 ? tensor.size(0) : tensor.numel();
	int64_t sum = 0;

	if (sizes.empty()) {
		TORCH_CHECK(rows % static_cast<int64_t>(ranks) == 0, "tutti: all_to_all cannot divide the ", side,
		    "'s first dimension, ", rows, ", by ", ranks, " ranks: give split sizes");
		return counts;
	}
	TORCH_CHECK(sizes.size() == ranks, "tutti: all_to_all needs ", ranks, " split sizes of the ", side, ", not ",
	    sizes.size());
	for (int64_t size : sizes) {
		TORCH_CHECK(size >= 0, "tutti: all_to_all was given a negative split size of the ", side);
		counts.push_back(rows > 0 ? static_cast<size_t>(size * (tensor.numel() / rows)) * parts : 0);
		sum += size;
	}
	TORCH_CHECK(sum == rows, "tutti: all_to_all's split sizes of the ", side, " add up to ", sum,
	    ", but its first dimension is ", rows);
	return counts;
}

} // namespace tutti_torch

#endif /* TUTTI_TORCH_TENSORS_H */
