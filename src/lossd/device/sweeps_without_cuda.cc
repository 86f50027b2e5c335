#include <c10/util/Exception.h>

#include "lossd/device/sweeps.h"

namespace lossd {

GpuSums SumPointwiseOnGpu(int /*loss*/, absl::Span<const PointwiseChannel> /*channels*/,
                          const at::Tensor& /*pred*/, const at::Tensor& /*target*/,
                          const at::Tensor& /*weight*/, const GpuGradient& /*gradient*/) {
  TORCH_CHECK(false, "built without CUDA");
}

at::Tensor SumOverlapsOnGpu(const at::Tensor& /*pred*/, const at::Tensor& /*target*/,
                            bool /*sigmoid*/) {
  TORCH_CHECK(false, "built without CUDA");
}

bool PutOverlapGradientOnGpu(const at::Tensor& /*pred*/, const at::Tensor& /*target*/,
                             bool /*sigmoid*/, const at::Tensor& /*factors*/,
                             const GpuGradient& /*gradient*/) {
  TORCH_CHECK(false, "built without CUDA");
}

GpuSums SumAffinityErrorsOnGpu(const GpuAffinityErrors& /*errors*/,
                               const GpuGradient& /*gradient*/) {
  TORCH_CHECK(false, "built without CUDA");
}

}  // namespace lossd
