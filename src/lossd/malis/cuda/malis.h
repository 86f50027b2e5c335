#ifndef LOSSD_MALIS_CUDA_MALIS_H_
#define LOSSD_MALIS_CUDA_MALIS_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <optional>

#include "lossd/malis/cuda/device.h"
#include "lossd/malis/flat/batch.h"
#include "lossd/malis/malis_pass.h"

// MALIS on a GPU: Counts and Weights of flat/malis.h. All arrays of the batch, and the results, lie
// in the device's memory. Returns when all is in the stream but perhaps the last loops. What the
// allocator throws, it passes on.
namespace lossd::flat {

struct DeviceResult {
  // The first error of the device, of these or of earlier calls. Then, and when it was cancelled,
  // counts or weights are unspecified.
  cudaError_t error = cudaSuccess;
  std::optional<int64_t> nan;
};

DeviceResult CountsOnDevice(const Device& device, const Batch& batch, MalisPass pass,
                            uint64_t* counts);
DeviceResult WeightsOnDevice(const Device& device, const Batch& batch, float* weights,
                             uint64_t* pairs);

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_CUDA_MALIS_H_
