#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <utility>

#include "lossd/device/cached_memory.h"
#include "lossd/device/kernels.h"
#include "lossd/malis/cuda/malis.h"
#include "lossd/sweep/cuda/pool_gradient.h"
#include "lossd/sweep/cuda/sigmoid.h"

namespace lossd {
namespace {

template <typename T>
const T* DataOf(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}

}  // namespace

at::Tensor SigmoidOnGpu(const at::Tensor& elements) {
  const c10::cuda::CUDAGuard guard(elements.device());
  at::Tensor sigmoids = at::empty_like(elements);
  C10_CUDA_CHECK(SigmoidOnDevice(elements.const_data_ptr<float>(), elements.numel(),
                                 sigmoids.mutable_data_ptr<float>(),
                                 c10::cuda::getCurrentCUDAStream()));
  return sigmoids;
}

at::Tensor MaxPoolGradientOnGpu(const at::Tensor& gradient, const at::Tensor& chosen,
                                at::IntArrayRef window) {
  const c10::cuda::CUDAGuard guard(gradient.device());
  at::Tensor sums = at::empty_like(gradient);
  const bool volumes = gradient.dim() == 5;
  const PoolShape shape = {
      .volumes = gradient.size(0) * gradient.size(1),
      .sizes = {volumes ? gradient.size(2) : 1, gradient.size(-2), gradient.size(-1)},
      .reach = {volumes ? window[0] / 2 : 0, window[window.size() - 2] / 2, window.back() / 2}};
  C10_CUDA_CHECK(PoolGradientOnDevice(
      shape, gradient.const_data_ptr<float>(), chosen.const_data_ptr<int64_t>(),
      sums.mutable_data_ptr<float>(), c10::cuda::getCurrentCUDAStream()));
  return sums;
}

std::optional<GpuMalisWeights> MalisWeightsOnGpu(const GpuMalisBatch& batch,
                                                 const Context& context) {
  const c10::cuda::CUDAGuard guard(batch.affinity.device());
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  CachedMemory memory(stream);
  const at::Tensor landing = at::empty({static_cast<int64_t>(flat::kLandingBytes)},
                                       at::TensorOptions(at::kByte).pinned_memory(true));
  at::Tensor weights = at::empty_like(batch.affinity);
  at::Tensor pairs = at::empty({2}, batch.affinity.options().dtype(at::kLong));
  const flat::DeviceResult result =
      flat::WeightsOnDevice({.stream = stream,
                             .landing = landing.mutable_data_ptr(),
                             .memory = memory,
                             .cancelled = [&context] { return context.Cancelled(); }},
                            {.samples = batch.affinity.size(0),
                             .shape = {.z = batch.affinity.size(2),
                                       .y = batch.affinity.size(3),
                                       .x = batch.affinity.size(4)},
                             .neighborhood = {batch.neighborhood.data(), batch.neighborhood.size()},
                             .affinity = DataOf<float>(batch.affinity),
                             .positive = DataOf<uint8_t>(batch.positive),
                             .known = DataOf<uint8_t>(batch.known),
                             .labels = DataOf<uint32_t>(batch.labels)},
                            weights.mutable_data_ptr<float>(),
                            reinterpret_cast<uint64_t*>(pairs.mutable_data_ptr<int64_t>()));
  C10_CUDA_CHECK(result.error);
  if (result.nan.has_value()) return std::nullopt;
  return GpuMalisWeights{.weights = std::move(weights), .pairs = std::move(pairs)};
}

}  // namespace lossd
