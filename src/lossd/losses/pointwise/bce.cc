#include "lossd/losses/pointwise/bce.h"

#include <vector>

#include "lossd/losses/reduction.h"

namespace lossd {

at::Tensor BceMap(const at::Tensor& logits, const at::Tensor& target,
                  const std::optional<at::Tensor>& pos_weight) {
  return at::binary_cross_entropy_with_logits(logits, target.to(logits.scalar_type()), {},
                                              pos_weight, TorchReduction(Reduction::kNone));
}

at::Tensor BalancingPosWeight(const at::Tensor& target, const at::Tensor& weight, double max,
                              at::ScalarType type) {
  std::vector<int64_t> not_channels = {0};
  for (int64_t d = 2; d < target.dim(); ++d) not_channels.push_back(d);
  at::Tensor positive = target.gt(0);
  at::Tensor negative = target.le(0);
  if (weight.defined()) {
    const at::Tensor valid = weight.gt(0);
    positive.logical_and_(valid);
    negative.logical_and_(valid);
  }
  const at::Tensor positives = positive.sum(not_channels, /*keepdim=*/true);
  const at::Tensor ratio =
      negative.sum(not_channels, /*keepdim=*/true).to(type).div_(positives).clamp_max_(max);
  return at::where(positives.gt(0), ratio, at::ones({}, ratio.options()));
}

}  // namespace lossd
