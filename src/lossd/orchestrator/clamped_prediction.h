#ifndef LOSSD_ORCHESTRATOR_CLAMPED_PREDICTION_H_
#define LOSSD_ORCHESTRATOR_CLAMPED_PREDICTION_H_

#include <torch/types.h>

namespace lossd {

// A prediction clamped to [min, max], as the terms see it. It is the prediction itself, without a
// copy, unless some value lies outside; then it is float32.
class ClampedPrediction {
 public:
  ClampedPrediction(const at::Tensor& prediction, double min, double max);

  const at::Tensor& value() const { return value_; }

  // Zeroes, in place, a gradient of the prediction's shape where the clamp cut: there the terms do
  // not depend on it. NaN counts as cut, as in torch.clamp's derivative.
  void ZeroWhereCut(at::Tensor& gradient) const;

 private:
  at::Tensor prediction_;
  at::Tensor value_;
  double min_;
  double max_;
  bool cut_;
};

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_CLAMPED_PREDICTION_H_
