#include "lossd/losses/tversky.h"

#include "lossd/losses/checks.h"
#include "lossd/losses/overlap_loss.h"

namespace lossd {
namespace {

class TverskyLoss : public OverlapLoss {
 public:
  explicit TverskyLoss(const v1::TverskyLossOptions& options)
      : OverlapLoss(ClassOptionsOf(options),
                    {.batch = options.batch(), .soft_label = options.soft_label()}),
        options_(options) {}

 protected:
  at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const override {
    const at::Tensor errors =
        options_.alpha() * overlap.false_positives + options_.beta() * overlap.false_negatives;
    const at::Tensor losses = 1 - (overlap.true_positives + options_.smooth_nr()) /
                                      (overlap.true_positives + errors + options_.smooth_dr());
    // MONAI gives these no spatial dimensions.
    if (options_.reduction() == v1::REDUCTION_NONE) return losses;
    return ReduceClasses(losses, options_.reduction(), spatial_dims);
  }

 private:
  const v1::TverskyLossOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateTverskyLoss(const v1::LossOptions& options) {
  const auto& own = options.tversky();
  if (absl::Status status = FirstError(
          {CheckReduction(own.reduction()), CheckActivation(own.sigmoid(), own.softmax()),
           CheckFinite("alpha", own.alpha()), CheckFinite("beta", own.beta()),
           CheckFinite("smooth_nr", own.smooth_nr()), CheckFinite("smooth_dr", own.smooth_dr())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<TverskyLoss>(own);
}

}  // namespace lossd
