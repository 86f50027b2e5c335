#include <c10/util/Exception.h>

#include "lossd/device/kernels.h"

namespace lossd {

at::Tensor SigmoidOnGpu(const at::Tensor& /*elements*/) {
  TORCH_CHECK(false, "built without CUDA");
}

at::Tensor MaxPoolGradientOnGpu(const at::Tensor& /*gradient*/, const at::Tensor& /*chosen*/,
                                at::IntArrayRef /*window*/) {
  TORCH_CHECK(false, "built without CUDA");
}

std::optional<GpuMalisWeights> MalisWeightsOnGpu(const GpuMalisBatch& /*batch*/,
                                                 const Context& /*context*/) {
  TORCH_CHECK(false, "built without CUDA");
}

}  // namespace lossd
