#include "lossd/losses/overlap/tversky.h"

#include "lossd/losses/overlap/overlap_loss.h"

namespace lossd {
namespace {

class TverskyLoss : public OverlapLoss {
 public:
  explicit TverskyLoss(const Tversky& options)
      : OverlapLoss(ClassOptionsOf(options),
                    {.batch = options.batch, .soft_label = options.soft_label}),
        options_(options) {}

 protected:
  at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const override {
    const at::Tensor errors =
        options_.alpha * overlap.false_positives + options_.beta * overlap.false_negatives;
    const at::Tensor losses = 1 - (overlap.true_positives + options_.smooth_nr) /
                                      (overlap.true_positives + errors + options_.smooth_dr);
    // MONAI gives these no spatial dimensions.
    if (options_.reduction == Reduction::kNone) return losses;
    return ReduceClasses(losses, options_.reduction, spatial_dims);
  }

 private:
  const Tversky options_;
};

}  // namespace

std::unique_ptr<const Loss> Tversky::Make() const { return std::make_unique<TverskyLoss>(*this); }

}  // namespace lossd
