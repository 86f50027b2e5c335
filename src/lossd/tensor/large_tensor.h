#ifndef LOSSD_TENSOR_LARGE_TENSOR_H_
#define LOSSD_TENSOR_LARGE_TENSOR_H_

#include <ATen/ATen.h>

namespace lossd {

// An uninitialised contiguous tensor on the CPU. As at::empty, but that a large one lies in huge
// pages where the system has them: what is written or received once would spend most of that time
// on the system's handing small pages out one by one.
at::Tensor EmptyLarge(at::IntArrayRef sizes, at::ScalarType type = at::kFloat);

}  // namespace lossd

#endif  // LOSSD_TENSOR_LARGE_TENSOR_H_
