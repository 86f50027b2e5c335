#ifndef LOSSD_SWEEP_SLABS_H_
#define LOSSD_SWEEP_SLABS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "lossd/base/context.h"

// LibTorch on parts of a tensor: by all threads, and with a chance to stop between them. On a GPU
// parts are whole samples, one after the other.
namespace lossd {

// Indices [begin, begin + size) of a dimension. All of it is the tensor itself, which is quicker.
at::Tensor Part(const at::Tensor& tensor, int64_t dimension, int64_t begin, int64_t size);

// Some consecutive indices of the first spatial dimension, of one sample.
struct Slab {
  int64_t sample;
  int64_t begin;
  int64_t size;

  // The slab's part of a tensor [B, C, …]; of an undefined one nothing, and all of what is 1 along
  // a dimension.
  at::Tensor Of(const at::Tensor& tensor) const;
};

// Calls body(slab) for all slabs of a tensor [B, C, …] of these sizes, in parallel. The context's
// status when it is cancelled, else the error of the first slab that has one. Exceptions of
// LibTorch escape.
absl::Status ForEachSlab(at::IntArrayRef sizes, const Context& context,
                         const std::function<absl::Status(const Slab& slab)>& body);

// What follows is unspecified when the context is cancelled.

// A tensor [B, C, …] of these sizes that consists of part(slab), for all slabs.
at::Tensor FromSlabs(at::IntArrayRef sizes, const at::TensorOptions& options,
                     const Context& context,
                     const std::function<at::Tensor(const Slab& slab)>& part);

// map(a, b), in the given type, of two tensors [B, C, …] that are broadcast to each other; `map` is
// of one element at a time. `b` may be undefined.
at::Tensor MapSlabs(const at::Tensor& a, const at::Tensor& b, at::ScalarType type,
                    const Context& context,
                    const std::function<at::Tensor(const at::Tensor& a, const at::Tensor& b)>& map);

// The tensor [B, C, …] in another type.
at::Tensor ToType(const at::Tensor& tensor, at::ScalarType type, const Context& context);

template <typename T>
struct ValueRange {
  T low;
  T high;
};

// The least and the greatest element of a tensor [B, C, …], both NaN where there is one; of
// integers as int64_t, where they shall be exact.
template <typename T = double>
ValueRange<T> RangeOf(const at::Tensor& tensor, const Context& context);

}  // namespace lossd

#endif  // LOSSD_SWEEP_SLABS_H_
