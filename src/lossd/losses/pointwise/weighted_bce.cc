#include "lossd/losses/pointwise/weighted_bce.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/pointwise/bce.h"
#include "lossd/losses/reduction.h"
#include "lossd/sweep/fused_pointwise.h"

namespace lossd {
namespace {

class WeightedBCELoss : public PointwiseLoss {
 public:
  explicit WeightedBCELoss(const WeightedBCE& options) : options_(options) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPredTarget(inputs); !status.ok()) return status;
    if (PosWeight(inputs) > 0) return absl::OkStatus();
    return FieldError("pos_weight", absl::StrCat(PosWeight(inputs)), "a number > 0");
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const at::Tensor pos_weight = at::full({}, PosWeight(inputs), inputs.pred.options());
    return ReduceWeighted(BceMap(inputs.pred, inputs.target, pos_weight), inputs.weight,
                          options_.reduction);
  }

  std::optional<FusedPointwise> Fused(const LossInputs& inputs) const override {
    return FusedPointwise{.element = &BinaryCrossEntropyOf,
                          .reduction = options_.reduction,
                          .pos_weight = PosWeight(inputs)};
  }

 private:
  double PosWeight(const LossInputs& inputs) const {
    return inputs.pos_weight.value_or(options_.pos_weight.value_or(1));
  }

  const WeightedBCE options_;
};

}  // namespace

std::unique_ptr<const Loss> WeightedBCE::Make() const {
  return std::make_unique<WeightedBCELoss>(*this);
}

}  // namespace lossd
