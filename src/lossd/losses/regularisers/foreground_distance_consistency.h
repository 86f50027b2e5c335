#ifndef LOSSD_LOSSES_REGULARISERS_FOREGROUND_DISTANCE_CONSISTENCY_H_
#define LOSSD_LOSSES_REGULARISERS_FOREGROUND_DISTANCE_CONSISTENCY_H_

#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// Of foreground logits and signed distance: the mean over all elements of a map × mask.
struct ForegroundDistanceConsistency {
  static constexpr LossTraits kTraits = {
      .name = "ForegroundDistanceConsistency",
      .summary = "Keeps the foreground where the predicted signed distance is positive.",
      .source = "PyTorch Connectomics",
      .definition = "with d = tanh(distance): −log σ(f)·max(d, 0) − log σ(−f)·max(−d, 0), × mask",
      .call_kind = CallKind::kPredPred,
      .target_kind = TargetKind::kNone,
      .spatial_weight_arg = SpatialWeightArg::kMask,
      .computed = "blocks"};

  OptionList Options() { return {}; }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGULARISERS_FOREGROUND_DISTANCE_CONSISTENCY_H_
