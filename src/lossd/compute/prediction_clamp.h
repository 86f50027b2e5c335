#ifndef LOSSD_COMPUTE_PREDICTION_CLAMP_H_
#define LOSSD_COMPUTE_PREDICTION_CLAMP_H_

#include <ATen/ATen.h>

#include <optional>

#include "lossd/base/context.h"
#include "lossd/losses/loss.h"

namespace lossd {

// The range that a prediction is clamped to before the terms see it.
class PredictionClamp {
 public:
  PredictionClamp(const at::Tensor& prediction, ClampRange range, const Context& context);

  // Nothing when no value lies outside.
  const std::optional<ClampRange>& range() const { return range_; }

  // Zeroes, in place, a gradient of the prediction's shape where the clamp cut: there the terms do
  // not depend on it. NaN counts as cut, as in torch.clamp's derivative.
  void ZeroWhereCut(const at::Tensor& gradient, const Context& context) const;

 private:
  at::Tensor prediction_;
  std::optional<ClampRange> range_;
};

}  // namespace lossd

#endif  // LOSSD_COMPUTE_PREDICTION_CLAMP_H_
