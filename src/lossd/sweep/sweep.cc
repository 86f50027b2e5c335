#include "lossd/sweep/sweep.h"

namespace lossd {

bool CanSweep(const LossInputs& inputs) {
  for (const at::Tensor* tensor : {&inputs.pred, &inputs.target, &inputs.weight, &inputs.known}) {
    if (tensor->defined() && !tensor->is_cpu()) return false;
  }
  const at::ScalarType type = inputs.pred.scalar_type();
  return type == at::kFloat || type == at::kHalf || type == at::kBFloat16;
}

Blocks::Blocks(at::IntArrayRef sizes)
    : samples_(sizes[0]),
      channels_(sizes[1]),
      voxels_(c10::multiply_integers(sizes.slice(2))),
      per_group_((voxels_ + kBlockSize - 1) / kBlockSize) {}

BlockRange Blocks::operator[](int64_t index) const {
  const int64_t group = index / per_group_;
  const int64_t begin = index % per_group_ * kBlockSize;
  return {.sample = group / channels_,
          .channel = group % channels_,
          .begin = begin,
          .size = std::min(kBlockSize, voxels_ - begin)};
}

}  // namespace lossd
