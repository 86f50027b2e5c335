#ifndef LOSSD_LOSSES_LARGE_TENSOR_H_
#define LOSSD_LOSSES_LARGE_TENSOR_H_

#include <torch/types.h>

namespace lossd {

// An uninitialised contiguous float32 tensor on the CPU, for gradients and other results as large
// as a prediction. Its memory is in huge pages where the system has them: faulting in thousands of
// small ones takes longer than most losses.
at::Tensor EmptyFloats(at::IntArrayRef sizes);

}  // namespace lossd

#endif  // LOSSD_LOSSES_LARGE_TENSOR_H_
