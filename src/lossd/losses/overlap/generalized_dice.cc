#include "lossd/losses/overlap/generalized_dice.h"

#include "lossd/losses/overlap/overlap_loss.h"

namespace lossd {
namespace {

// Weights of the classes from their volumes [B, C] or [C]. A class that is absent has the greatest
// weight of those present in its sample (0 when none is).
at::Tensor VolumeWeights(const at::Tensor& volumes, WeightType type) {
  if (type == WeightType::kUniform) return at::ones_like(volumes);
  const at::Tensor weights =
      (type == WeightType::kSquare ? volumes * volumes : volumes).reciprocal();
  const at::Tensor absent = weights.isinf();
  const at::Tensor present = at::where(absent, at::zeros({}, weights.options()), weights);
  return at::where(absent, present.amax(-1, /*keepdim=*/true), present);
}

class GeneralizedDiceLoss : public OverlapLoss {
 public:
  explicit GeneralizedDiceLoss(const GeneralizedDice& options)
      : OverlapLoss(ClassOptionsOf(options),
                    {.batch = options.batch, .soft_label = options.soft_label}),
        options_(options) {}

 protected:
  at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const override {
    const at::Tensor weights = VolumeWeights(overlap.target_sum, options_.w_type);
    const auto weighted_sum = [&](const at::Tensor& values) {
      return (values * weights).sum(-1, /*keepdim=*/true);
    };
    const at::Tensor agreement = 2 * overlap.true_positives;
    const at::Tensor all = agreement + overlap.false_positives + overlap.false_negatives;
    const at::Tensor losses = 1 - (weighted_sum(agreement) + options_.smooth_nr) /
                                      (weighted_sum(all) + options_.smooth_dr);
    return ReduceClasses(losses, options_.reduction, spatial_dims);
  }

 private:
  const GeneralizedDice options_;
};

}  // namespace

std::unique_ptr<const Loss> GeneralizedDice::Make() const {
  return std::make_unique<GeneralizedDiceLoss>(*this);
}

}  // namespace lossd
