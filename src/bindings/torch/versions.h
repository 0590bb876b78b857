/* SPDX-License-Identifier: Apache-2.0
 *
 * versions.h - all that differs between the versions of PyTorch, from 1.13 to 2.x. Nothing else here asks for the version;
 * of the methods that only some versions know, see the end of the class in backend.cpp.
 */
#ifndef TUTTI_TORCH_VERSIONS_H
#define TUTTI_TORCH_VERSIONS_H

#include <cstddef>

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/version.h>
#include <tutti/tutti.h>

#define TUTTI_TORCH_AT_LEAST(major, minor) \
	(TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

#if TUTTI_TORCH_AT_LEAST(2, 0)
#include <torch/csrc/distributed/c10d/Backend.hpp>
#endif

namespace tutti_torch
{

/* What a backend is, and how its operations fail. */
#if TUTTI_TORCH_AT_LEAST(2, 0)
using Base = c10d::Backend;
using Failure = c10::DistBackendError;
#else
using Base = c10d::ProcessGroup;
using Failure = c10::Error;
#endif

/* A type of tensors: `parts` elements of `dtype` make one of its elements. */
struct Kind {
	at::ScalarType type;
	tutti_dtype dtype;
	size_t parts;
};

constexpr Kind kinds[] = {
    {at::kFloat, TUTTI_FLOAT32, 1},
    {at::kDouble, TUTTI_FLOAT64, 1},
    {at::kHalf, TUTTI_FLOAT16, 1},
    {at::kBFloat16, TUTTI_BFLOAT16, 1},
    {at::kLong, TUTTI_INT64, 1},
    {at::kInt, TUTTI_INT32, 1},
    {at::kShort, TUTTI_INT16, 1},
    {at::kChar, TUTTI_INT8, 1},
    {at::kByte, TUTTI_UINT8, 1},
    {at::kBool, TUTTI_BOOL, 1},
    {at::kComplexHalf, TUTTI_FLOAT16, 2},
    {at::kComplexFloat, TUTTI_FLOAT32, 2},
    {at::kComplexDouble, TUTTI_FLOAT64, 2},
#if TUTTI_TORCH_AT_LEAST(2, 1)
    {at::kFloat8_e4m3fn, TUTTI_FLOAT8_E4M3, 1},
    {at::kFloat8_e5m2, TUTTI_FLOAT8_E5M2, 1},
#endif
#if TUTTI_TORCH_AT_LEAST(2, 3)
    {at::kUInt16, TUTTI_UINT16, 1},
    {at::kUInt32, TUTTI_UINT32, 1},
    {at::kUInt64, TUTTI_UINT64, 1},
#endif
};

/* The factor of a premultiplied sum: a tensor for all devices, or a list of them; undefined if it is a number. */
template <class Supplement>
auto
tensor_factor(const Supplement &supplement, int) -> decltype(supplement.tensor_factor)
{
	return supplement.tensor_factor;
}

template <class Supplement>
at::Tensor
tensor_factor(const Supplement &supplement, long)
{
	return supplement.tensor_factors.empty() ? at::Tensor() : supplement.tensor_factors[0];
}

} // namespace tutti_torch

#endif /* TUTTI_TORCH_VERSIONS_H */
