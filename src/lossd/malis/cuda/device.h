#ifndef LOSSD_MALIS_CUDA_DEVICE_H_
#define LOSSD_MALIS_CUDA_DEVICE_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

#include "lossd/malis/flat/loops.h"

namespace lossd::flat {

// Where loops run: on the calling thread's current device.
inline constexpr size_t kLandingBytes = 64;

struct Device {
  cudaStream_t stream = nullptr;
  // Of kLandingBytes at least, pinned memory of the host: where numbers that the host waits for
  // land.
  void* landing = nullptr;
  ScratchMemory& memory;            // Of the device. A caching allocator's, for arrays come and go.
  std::function<bool()> cancelled;  // Asked between loops; may be empty.
};

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_CUDA_DEVICE_H_
