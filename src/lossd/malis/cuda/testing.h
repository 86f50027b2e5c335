#ifndef LOSSD_MALIS_CUDA_TESTING_H_
#define LOSSD_MALIS_CUDA_TESTING_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <new>

#include "lossd/malis/flat/loops.h"

namespace lossd::flat {

// How many devices can be used; 0 without a driver.
inline int DeviceCount() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess ? devices : 0;
}

// Memory of the current device, as CUDA itself keeps it for a stream.
class StreamMemory final : public ScratchMemory {
 public:
  explicit StreamMemory(cudaStream_t stream) : stream_(stream) {}

  void* Take(size_t bytes) override {
    void* memory = nullptr;
    if (cudaMallocAsync(&memory, bytes, stream_) != cudaSuccess) throw std::bad_alloc();
    return memory;
  }
  void Give(void* memory, size_t /*bytes*/) noexcept override { cudaFreeAsync(memory, stream_); }

 private:
  cudaStream_t stream_;
};

// Pinned memory of the host; null without a driver.
class PinnedMemory {
 public:
  explicit PinnedMemory(size_t bytes) {
    if (cudaMallocHost(&data_, bytes) != cudaSuccess) data_ = nullptr;
  }
  ~PinnedMemory() { cudaFreeHost(data_); }
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_CUDA_TESTING_H_
