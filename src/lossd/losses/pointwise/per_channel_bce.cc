#include "lossd/losses/pointwise/per_channel_bce.h"

#include <ATen/ATen.h>

#include <optional>

#include "lossd/losses/checks.h"
#include "lossd/losses/pointwise/bce.h"
#include "lossd/losses/reduction.h"
#include "lossd/sweep/fused_pointwise.h"

namespace lossd {
namespace {

class PerChannelBCELoss : public PointwiseLoss {
 public:
  explicit PerChannelBCELoss(const PerChannelBCE& options) : reduction_(options.reduction) {
    if (options.auto_pos_weight) max_pos_weight_ = options.max_pos_weight;
  }

 protected:
  absl::Status Check(const LossInputs& inputs) const override { return CheckPredTarget(inputs); }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    std::optional<at::Tensor> pos_weight;
    if (max_pos_weight_.has_value()) {
      pos_weight = BalancingPosWeight(inputs.target, inputs.weight, *max_pos_weight_,
                                      inputs.pred.scalar_type());
    }
    return ReduceWeightedPerChannel(BceMap(inputs.pred, inputs.target, pos_weight), inputs.weight,
                                    reduction_);
  }

  std::optional<FusedPointwise> Fused(const LossInputs& /*inputs*/) const override {
    return FusedPointwise{.element = &BinaryCrossEntropyOf,
                          .reduction = reduction_,
                          .per_channel = true,
                          .max_pos_weight = max_pos_weight_};
  }

 private:
  std::optional<double> max_pos_weight_;  // None: positives are not weighted.
  const Reduction reduction_;
};

}  // namespace

std::unique_ptr<const Loss> PerChannelBCE::Make() const {
  return std::make_unique<PerChannelBCELoss>(*this);
}

}  // namespace lossd
