#ifndef LOSSD_SWEEP_CUDA_SIGMOID_H_
#define LOSSD_SWEEP_CUDA_SIGMOID_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace lossd {

// SigmoidBlock of sweep/kernels.h on a GPU, with the same bits: MALIS takes edges in the order of
// their sigmoids. Arrays lie in the current device's memory; `out` may be `elements`. Returns
// whether it could be put into the stream.
cudaError_t SigmoidOnDevice(const float* elements, int64_t size, float* out, cudaStream_t stream);

}  // namespace lossd

#endif  // LOSSD_SWEEP_CUDA_SIGMOID_H_
