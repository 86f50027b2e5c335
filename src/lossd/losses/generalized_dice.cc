#include "lossd/losses/generalized_dice.h"

#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/overlap_loss.h"

namespace lossd {
namespace {

// Weights of the classes from their volumes [B, C] or [C]. A class that is absent has the greatest
// weight of those present in its sample (0 when none is).
at::Tensor VolumeWeights(const at::Tensor& volumes, v1::WeightType type) {
  if (type == v1::WEIGHT_TYPE_UNIFORM) return at::ones_like(volumes);
  const at::Tensor weights =
      (type == v1::WEIGHT_TYPE_SQUARE ? volumes * volumes : volumes).reciprocal();
  const at::Tensor absent = weights.isinf();
  const at::Tensor present = at::where(absent, at::zeros({}, weights.options()), weights);
  return at::where(absent, present.amax(-1, /*keepdim=*/true), present);
}

class GeneralizedDiceLoss : public OverlapLoss {
 public:
  explicit GeneralizedDiceLoss(const v1::GeneralizedDiceLossOptions& options)
      : OverlapLoss(ClassOptionsOf(options),
                    {.batch = options.batch(), .soft_label = options.soft_label()}),
        options_(options) {}

 protected:
  at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const override {
    const at::Tensor weights = VolumeWeights(overlap.target_sum, options_.w_type());
    const auto weighted_sum = [&](const at::Tensor& values) {
      return (values * weights).sum(-1, /*keepdim=*/true);
    };
    const at::Tensor agreement = 2 * overlap.true_positives;
    const at::Tensor all = agreement + overlap.false_positives + overlap.false_negatives;
    const at::Tensor losses = 1 - (weighted_sum(agreement) + options_.smooth_nr()) /
                                      (weighted_sum(all) + options_.smooth_dr());
    return ReduceClasses(losses, options_.reduction(), spatial_dims);
  }

 private:
  const v1::GeneralizedDiceLossOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateGeneralizedDiceLoss(
    const v1::LossOptions& options) {
  const auto& own = options.generalized_dice();
  if (absl::Status status = FirstError(
          {CheckReduction(own.reduction()), CheckActivation(own.sigmoid(), own.softmax()),
           CheckFinite("smooth_nr", own.smooth_nr()), CheckFinite("smooth_dr", own.smooth_dr())});
      !status.ok()) {
    return status;
  }
  if (own.w_type() == v1::WEIGHT_TYPE_UNSPECIFIED) {
    return FieldError("w_type", "nothing", "square, simple or uniform");
  }
  return std::make_unique<GeneralizedDiceLoss>(own);
}

}  // namespace lossd
