#include "lossd/losses/regularisers/binary_regularization.h"

#include <ATen/ATen.h>

#include "lossd/losses/checks.h"
#include "lossd/losses/pointwise/map_loss.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

class BinaryRegularizationLoss : public MapLoss {
 public:
  explicit BinaryRegularizationLoss(const BinaryRegularization& options) : options_(options) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    return CheckBroadcastable("weight", inputs.weight, inputs.pred);
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    const at::Tensor probability = options_.apply_sigmoid ? inputs.pred.sigmoid() : inputs.pred;
    const at::Tensor map = (probability - 0.5).abs().clamp_min(options_.min_threshold).reciprocal();
    return TimesMask(map, inputs.weight);
  }

 private:
  const BinaryRegularization options_;
};

}  // namespace

std::unique_ptr<const Loss> BinaryRegularization::Make() const {
  return std::make_unique<BinaryRegularizationLoss>(*this);
}

}  // namespace lossd
