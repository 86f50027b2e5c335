#ifndef LOSSD_LOSSES_REGULARISERS_NON_OVERLAP_REGULARIZATION_H_
#define LOSSD_LOSSES_REGULARISERS_NON_OVERLAP_REGULARIZATION_H_

#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// The mean overlap of the first two channels. A third is held constant, or the overlap could be
// lowered by predicting no cleft.
struct NonOverlapRegularization {
  static constexpr LossTraits kTraits = {
      .name = "NonOverlapRegularization",
      .summary = "Keeps the first two channels apart.",
      .source = "PyTorch Connectomics",
      .definition = "σ(x₀)·σ(x₁), × σ(x₂) held constant where there is a third channel",
      .call_kind = CallKind::kPredOnly,
      .target_kind = TargetKind::kNone};

  bool cleft_masked = true;

  OptionList Options() {
    return {{"cleft_masked", &cleft_masked,
             "Whether the overlap counts where the third channel, the cleft, is predicted; no "
             "effect with two channels."}};
  }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGULARISERS_NON_OVERLAP_REGULARIZATION_H_
