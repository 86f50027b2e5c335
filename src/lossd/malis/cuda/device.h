#ifndef LOSSD_MALIS_CUDA_DEVICE_H_
#define LOSSD_MALIS_CUDA_DEVICE_H_

#include <cuda_runtime_api.h>

#include <functional>

#include "lossd/malis/flat/loops.h"

namespace lossd::flat {

// Where loops run: on the calling thread's current device.
struct Device {
  cudaStream_t stream = nullptr;
  ScratchMemory& memory;            // Of the device. A caching allocator's, for arrays come and go.
  std::function<bool()> cancelled;  // Asked between loops; may be empty.
};

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_CUDA_DEVICE_H_
