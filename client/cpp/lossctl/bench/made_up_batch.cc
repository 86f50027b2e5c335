#include "lossctl/bench/made_up_batch.h"

#include <ATen/ATen.h>

namespace lossd {
namespace {

constexpr int64_t kObjectSize = 16;  // Edge of the cubes, in voxels.

at::ScalarType TypeOf(const std::string& dtype) {
  if (dtype == "float16") return at::kHalf;
  return dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

}  // namespace

Batch MakeUpBatch(int64_t batch, int64_t size, const std::string& dtype) {
  const at::Tensor index = at::arange(size).div(kObjectSize, "floor");
  const at::Tensor object =
      (index.view({-1, 1, 1}) * 1024 + index.view({1, -1, 1})) * 1024 + index.view({1, 1, -1}) + 1;
  const at::Tensor gt_seg = object.unsqueeze(0).expand({batch, -1, -1, -1});
  at::Tensor labels = at::zeros({batch, 3, size, size, size}, at::kByte);
  for (int64_t axis = 0; axis < 3; ++axis) {
    const int64_t dim = axis + 1;
    const at::Tensor same = gt_seg.narrow(dim, 1, size - 1) == gt_seg.narrow(dim, 0, size - 1);
    labels.select(1, axis).narrow(dim, 1, size - 1).copy_(same);
  }
  const at::Tensor logits = (labels.to(at::kFloat) * 4 - 2) + at::randn(labels.sizes());
  Batch made_up;
  made_up.predictions = {{"output", logits.to(TypeOf(dtype))}};
  made_up.labels = labels;
  made_up.gt_seg = gt_seg.to(at::kInt).contiguous();
  made_up.malis_crop_seed = 0;
  return made_up;
}

}  // namespace lossd
