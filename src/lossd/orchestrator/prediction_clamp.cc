#include "lossd/orchestrator/prediction_clamp.h"

namespace lossd {

PredictionClamp::PredictionClamp(const at::Tensor& prediction, ClampRange range)
    : prediction_(prediction) {
  const auto [low, high] = at::aminmax(prediction);
  // With a NaN, both are NaN and nothing is within.
  const bool within = low.item<double>() >= range.min && high.item<double>() <= range.max;
  if (!within) range_ = range;
}

void PredictionClamp::ZeroWhereCut(at::Tensor& gradient) const {
  if (!range_.has_value()) return;
  const at::Tensor wide = prediction_.to(at::kFloat);
  gradient.masked_fill_((wide >= range_->min).logical_and_(wide <= range_->max).logical_not_(), 0);
}

}  // namespace lossd
