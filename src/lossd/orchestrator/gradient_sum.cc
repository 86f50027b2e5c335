#include "lossd/orchestrator/gradient_sum.h"

#include <utility>

namespace lossd {

GradientSum::GradientSum(const at::Tensor& prediction, bool overlapping)
    : prediction_(prediction), dtype_(overlapping ? at::kFloat : prediction.scalar_type()) {}

void GradientSum::Add(const ChannelRange& channels, at::Tensor gradient, double factor) {
  const bool whole = channels == ChannelRange{0, prediction_.size(1)};
  if (!sum_.defined() && whole && gradient.scalar_type() == dtype_ && gradient.is_contiguous() &&
      gradient.use_count() == 1) {
    sum_ = std::move(gradient);
    if (factor != 1) sum_.mul_(factor);
    return;
  }
  if (!sum_.defined()) {
    sum_ = at::zeros(prediction_.sizes(), prediction_.options().dtype(dtype_));
  }
  sum_.narrow(1, channels.start, channels.size()).add_(gradient, factor);
}

at::Tensor GradientSum::Finish(const ClampedPrediction* clamped) {
  if (!sum_.defined()) return at::zeros(prediction_.sizes(), prediction_.options());
  if (clamped != nullptr) clamped->ZeroWhereCut(sum_);
  return std::exchange(sum_, at::Tensor()).to(prediction_.scalar_type());
}

}  // namespace lossd
