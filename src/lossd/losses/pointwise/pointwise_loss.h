#ifndef LOSSD_LOSSES_POINTWISE_POINTWISE_LOSS_H_
#define LOSSD_LOSSES_POINTWISE_POINTWISE_LOSS_H_

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/loss.h"
#include "lossd/losses/reduction.h"
#include "lossd/losses/traits.h"
#include "lossd/sweep/fused_pointwise.h"

namespace lossd {

// The loss of an element function: T of list.h with `Element() const`, a reduction, and perhaps the
// option tanh, by which the prediction goes through tanh first. A loss with the spatial argument
// weight multiplies its map by the weight, and its mean is the masked one.
template <typename T>
class PointwiseLossOf : public PointwiseLoss {
 public:
  explicit PointwiseLossOf(T loss) : loss_(std::move(loss)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override { return CheckPredTarget(inputs); }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const at::Tensor pred = HasTanh() ? inputs.pred.tanh() : inputs.pred;
    const at::Tensor map = loss_.Element().Map(pred, inputs.target.to(pred.scalar_type()));
    return ReduceWeighted(map, kWeighted ? inputs.weight : at::Tensor(), ReductionOf(loss_));
  }

  std::optional<FusedPointwise> Fused(const LossInputs& /*inputs*/) const override {
    return FusedPointwise{
        .element = [element = loss_.Element()](double /*pos_weight*/) { return element; },
        .reduction = ReductionOf(loss_),
        .weighted = kWeighted,
        .tanh = HasTanh()};
  }

 private:
  static constexpr bool kWeighted = T::kTraits.spatial_weight_arg == SpatialWeightArg::kWeight;

  bool HasTanh() const {
    if constexpr (requires { loss_.tanh; }) return loss_.tanh;
    return false;
  }

  const T loss_;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_POINTWISE_LOSS_H_
