#ifndef LOSSD_SWEEP_LARGE_TENSOR_H_
#define LOSSD_SWEEP_LARGE_TENSOR_H_

#include <ATen/ATen.h>

namespace lossd {

// An uninitialised contiguous tensor on the CPU. As at::empty, but that a large one lies in huge
// pages where the system has them: a gradient is written once, and with small pages most of that
// time went into the system's handing them out one by one.
at::Tensor EmptyLarge(at::IntArrayRef sizes, at::ScalarType type = at::kFloat);

}  // namespace lossd

#endif  // LOSSD_SWEEP_LARGE_TENSOR_H_
