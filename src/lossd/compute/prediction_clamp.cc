#include "lossd/compute/prediction_clamp.h"

#include "lossd/sweep/slabs.h"

namespace lossd {

PredictionClamp::PredictionClamp(const at::Tensor& prediction, ClampRange range,
                                 const Context& context)
    : prediction_(prediction) {
  const auto [low, high] = RangeOf(prediction, context);
  // With a NaN, both are NaN and nothing is within.
  const bool within = low >= range.min && high <= range.max;
  if (!within) range_ = range;
}

void PredictionClamp::ZeroWhereCut(const at::Tensor& gradient, const Context& context) const {
  if (!range_.has_value()) return;
  ForEachSlab(prediction_.sizes(), context, [&](const Slab& slab) {
    const at::Tensor wide = slab.Of(prediction_).to(at::kFloat);
    const at::Tensor within = (wide >= range_->min).logical_and_(wide <= range_->max);
    slab.Of(gradient).masked_fill_(within.logical_not_(), 0);
    return absl::OkStatus();
  }).IgnoreError();
}

}  // namespace lossd
