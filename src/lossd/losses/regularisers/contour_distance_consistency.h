#ifndef LOSSD_LOSSES_REGULARISERS_CONTOUR_DISTANCE_CONSISTENCY_H_
#define LOSSD_LOSSES_REGULARISERS_CONTOUR_DISTANCE_CONSISTENCY_H_

#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// Of contour logits and signed distance: the mean over all elements of a map × mask.
struct ContourDistanceConsistency {
  static constexpr LossTraits kTraits = {
      .name = "ContourDistanceConsistency",
      .summary = "Keeps contours where the predicted distance to the surface is small.",
      .source = "PyTorch Connectomics",
      .definition = "(σ(contour)·tanh(distance))², × mask",
      .call_kind = CallKind::kPredPred,
      .target_kind = TargetKind::kNone,
      .spatial_weight_arg = SpatialWeightArg::kMask,
      .computed = "blocks"};

  OptionList Options() { return {}; }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGULARISERS_CONTOUR_DISTANCE_CONSISTENCY_H_
