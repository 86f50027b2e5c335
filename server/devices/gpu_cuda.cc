#include <ATen/ATen.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lossd/compute/gpu_batch.h"
#include "server/devices/gpu.h"

namespace lossd {
namespace {

// The oldest architecture that kernels are compiled for.
constexpr int kOldestMajor = 8;

// Pinned where the driver permits it: GPUs copy from it and to it by themselves, at full speed.
class PinnedMemory final : public ChunkMemory {
 public:
  std::byte* Take(size_t bytes, size_t alignment) override {
    std::byte* const chunk = ChunkMemory::Take(Whole(bytes), std::max(alignment, kPage));
    if (cudaHostRegister(chunk, Whole(bytes), cudaHostRegisterPortable) != cudaSuccess) Forget();
    return chunk;
  }
  void Give(std::byte* chunk, size_t bytes, size_t alignment) noexcept override {
    if (cudaHostUnregister(chunk) != cudaSuccess) Forget();
    ChunkMemory::Give(chunk, Whole(bytes), std::max(alignment, kPage));
  }

 private:
  // No two chunks share a page.
  static constexpr size_t kPage = 4096;
  static size_t Whole(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

  // The error, which later calls would tell.
  static void Forget() { static_cast<void>(cudaGetLastError()); }
};

class Gpu final : public Device {
 public:
  Gpu(int number, DeviceFacts facts)
      : Device(std::move(facts)), device_(at::kCUDA, static_cast<at::DeviceIndex>(number)) {}

  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, const Context& context) override {
    // A stream of its own for each request that is computed at the same time.
    const c10::cuda::CUDAStreamGuard guard(
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index()));
    return ComputeOnGpu(plan, schedule, batch, device_, context);
  }

  bool Works() override {
    try {
      return at::ones({1}, at::TensorOptions(device_)).add(1).item<float>() == 2;
    } catch (const std::exception&) {
      return false;
    }
  }

  void GiveBackMemory() override { c10::cuda::CUDACachingAllocator::emptyCache(); }

  std::shared_ptr<ChunkMemory> HostMemory() override { return std::make_shared<PinnedMemory>(); }

 private:
  const at::Device device_;
};

}  // namespace

int CountGpus() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int number) {
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    return absl::UnavailableError(absl::StrCat("CUDA says: ", cudaGetErrorString(error)));
  }
  if (number >= count) {
    return absl::UnavailableError(absl::StrCat("there are ", count, " GPUs, numbered from 0"));
  }
  cudaDeviceProp properties = {};
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, number);
      error != cudaSuccess) {
    return absl::UnavailableError(absl::StrCat("CUDA says: ", cudaGetErrorString(error)));
  }
  const std::string architecture = absl::StrCat("sm_", properties.major, properties.minor);
  if (properties.major < kOldestMajor) {
    return absl::UnavailableError(absl::StrCat("it is a ", properties.name, " of ", architecture,
                                               ", and sm_", kOldestMajor, "0 is needed at least"));
  }
  return std::make_unique<Gpu>(
      number, DeviceFacts{.name = absl::StrCat("cuda:", number),
                          .description = properties.name,
                          .architecture = architecture,
                          .memory_bytes = static_cast<int64_t>(properties.totalGlobalMem)});
}

}  // namespace lossd
