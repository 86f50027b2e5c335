#ifndef LOSSD_DEVICE_CACHED_MEMORY_H_
#define LOSSD_DEVICE_CACHED_MEMORY_H_

#include <c10/cuda/CUDACachingAllocator.h>

#include <cstddef>

#include "lossd/malis/flat/loops.h"

namespace lossd {

// Scratch memory of the current device for what runs in a stream, from LibTorch's caching
// allocator: what is given back is taken again without waiting. LibTorch must have been told to use
// the device. Take throws c10::OutOfMemoryError.
class CachedMemory final : public flat::ScratchMemory {
 public:
  explicit CachedMemory(cudaStream_t stream) : stream_(stream) {}

  void* Take(size_t bytes) override {
    return c10::cuda::CUDACachingAllocator::raw_alloc_with_stream(bytes, stream_);
  }
  void Give(void* memory, size_t /*bytes*/) noexcept override {
    c10::cuda::CUDACachingAllocator::raw_delete(memory);
  }

 private:
  cudaStream_t stream_;
};

}  // namespace lossd

#endif  // LOSSD_DEVICE_CACHED_MEMORY_H_
