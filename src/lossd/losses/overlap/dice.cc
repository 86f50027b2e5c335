#include "lossd/losses/overlap/dice.h"

#include <ATen/ATen.h>

#include <utility>

#include "lossd/losses/overlap/overlap.h"
#include "lossd/losses/overlap/overlap_loss.h"
#include "lossd/sweep/class_channels.h"

namespace lossd {
namespace {

class DiceLoss : public OverlapLoss {
 public:
  explicit DiceLoss(Dice options)
      : OverlapLoss(ClassOptionsOf(options), {.squared_pred = options.squared_pred,
                                              .batch = options.batch,
                                              .soft_label = options.soft_label}),
        options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = OverlapLoss::Check(inputs); !status.ok()) return status;
    return CheckClassWeight(options_.weight,
                            CountedChannels(inputs.pred.size(1), options_.include_background));
  }

  at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const override {
    // Dice counts errors half.
    const double error_weight = options_.jaccard ? 1 : 0.5;
    const at::Tensor all = overlap.true_positives + error_weight * overlap.false_positives +
                           error_weight * overlap.false_negatives;
    const at::Tensor losses =
        1 - (2 * overlap.true_positives + options_.smooth_nr) / (2 * all + options_.smooth_dr);
    return ReduceClasses(TimesClassWeight(losses, options_.weight, losses.dim() - 1),
                         options_.reduction, spatial_dims);
  }

 private:
  const Dice options_;
};

}  // namespace

std::unique_ptr<const Loss> Dice::Make() const { return std::make_unique<DiceLoss>(*this); }

}  // namespace lossd
