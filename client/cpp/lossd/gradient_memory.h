#ifndef LOSSD_GRADIENT_MEMORY_H_
#define LOSSD_GRADIENT_MEMORY_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/status/statusor.h"
#include "lossd/tensor/arrivals.h"

namespace lossd {

// Bytes for a gradient; RESOURCE_EXHAUSTED where there are not so many. What gradients that are
// gone had is used again, or given back once no call has needed it for a while.
absl::StatusOr<at::Tensor> TakeGradientMemory(const Arrivals& arrivals, int64_t bytes);

}  // namespace lossd

#endif  // LOSSD_GRADIENT_MEMORY_H_
