#include "lossd/orchestrator/clamped_prediction.h"

namespace lossd {

ClampedPrediction::ClampedPrediction(const at::Tensor& prediction, double min, double max)
    : prediction_(prediction), value_(prediction), min_(min), max_(max) {
  const auto [low, high] = at::aminmax(prediction);
  // With a NaN, both are NaN and nothing is within.
  const bool within = low.item<double>() >= min && high.item<double>() <= max;
  cut_ = !within;
  if (cut_) value_ = prediction.to(at::kFloat).clamp(min, max);
}

void ClampedPrediction::ZeroWhereCut(at::Tensor& gradient) const {
  if (!cut_) return;
  const at::Tensor wide = prediction_.to(at::kFloat);
  gradient.masked_fill_((wide >= min_).logical_and_(wide <= max_).logical_not_(), 0);
}

}  // namespace lossd
