/* SPDX-License-Identifier: Apache-2.0
 *
 * tensors.h - what Tutti can move of tensors: dense host memory in one piece, of a data type that it knows.
 *
 * Tensors that are laid out differently get memory of the operation's own, into which they are copied before it, and out
 * of which after it. Complex numbers travel as pairs of real ones.
 */
#ifndef TUTTI_TORCH_TENSORS_H
#define TUTTI_TORCH_TENSORS_H

#include <utility>
#include <vector>

#include "versions.h"

namespace tutti_torch
{

using Tensors = std::vector<at::Tensor>;

enum Use { READ = 1, WRITTEN = 2, READ_AND_WRITTEN = 3 };

/* The kind of a tensor; throws unless `title` ("tutti:all_reduce") can use it. */
inline Kind
kind_of(const at::Tensor &tensor, const char *title)
{
	TORCH_CHECK(tensor.defined(), title, " was given an undefined tensor");
	TORCH_CHECK(tensor.layout() == at::kStrided, title, " does not take sparse tensors (layout ", tensor.layout(),
	    "): use tensor.to_dense(), or Gloo for a module with sparse gradients");
	TORCH_CHECK(tensor.device().is_cpu(), title, " does not take tensors on ", tensor.device(),
	    ": Tutti moves host memory; use tensor.cpu(), or init_process_group(\"cpu:tutti,cuda:nccl\")");
	for (const Kind &kind : kinds)
		if (kind.type == tensor.scalar_type())
			return kind;
	TORCH_CHECK(false, title, " does not take tensors of type ", tensor.scalar_type());
}

/* Memory in one piece that stands for a tensor, or for a row of tensors. Counts are in elements of kind.dtype. */
struct Block {
	at::Tensor memory;
	Kind kind;
	char *data;
	std::vector<size_t> counts; /* of each tensor, or of each part that it was cut into */
	size_t total = 0;
	bool even = true; /* the counts are equal */

	/* The tensors' own memory if they follow each other in it. What must be copied when the operation has ended goes
	 * to `copies`. */
	Block(at::TensorList tensors, Use use, const char *title,
	    std::vector<std::pair<at::Tensor, at::Tensor>> &copies)
	    : kind(kind_of(tensors[0], title))
	{
		const at::NoGradGuard no_grad;
		bool follow = true;
		int64_t at = 0;

		for (const at::Tensor &tensor : tensors) {
			TORCH_CHECK(kind_of(tensor, title).type == kind.type, title,
			    " needs tensors of one type, not of both ", kind.type, " and ", tensor.scalar_type());
			follow = follow && tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg() &&
				 tensor.is_alias_of(tensors[0]) &&
				 tensor.data_ptr() == static_cast<char *>(tensors[0].data_ptr()) +
							  total * tutti_dtype_size(kind.dtype);
			counts.push_back(static_cast<size_t>(tensor.numel()) * kind.parts);
			even = even && counts.back() == counts[0];
			total += counts.back();
		}
		memory =
		    follow ? tensors[0] : at::empty({static_cast<int64_t>(total / kind.parts)}, tensors[0].options());
		data = static_cast<char *>(memory.data_ptr());
		for (size_t i = 0; !follow && i < tensors.size(); at += tensors[i++].numel()) {
			at::Tensor part = memory.narrow(0, at, tensors[i].numel()).view(tensors[i].sizes());

			if (use & READ)
				part.copy_(tensors[i]);
			if (use & WRITTEN)
				copies.emplace_back(tensors[i], part);
		}
	}

	/* Cuts a single tensor into a part for each rank: `sizes` of its first dimension, or equal ones. */
	void cut(int ranks, const char *title, at::IntArrayRef sizes = {}, int64_t rows = 0)
	{
		const auto n = static_cast<size_t>(ranks);
		int64_t sum = 0;

		even = sizes.empty();
		TORCH_CHECK(!even || (total % n == 0 && rows % ranks == 0), title, " cannot divide ",
		    rows > 0 ? rows : static_cast<int64_t>(total), rows > 0 ? " rows" : " elements", " among ", n,
		    " ranks");
		counts.assign(even ? n : 0, total / n);
		for (const int64_t size : sizes) {
			TORCH_CHECK(size >= 0, title, " was given a negative split size");
			counts.push_back(
			    rows > 0 ? static_cast<size_t>(size) * (total / static_cast<size_t>(rows)) : 0);
			sum += size;
		}
		TORCH_CHECK(even || (sizes.size() == n && sum == rows), title, " needs ", n,
		    " split sizes that add up to the first dimension, ", rows, ", not ", sizes);
	}
};

} // namespace tutti_torch

#endif /* TUTTI_TORCH_TENSORS_H */
