#ifndef LOSSD_LOSSES_REGULARISERS_BINARY_REGULARIZATION_H_
#define LOSSD_LOSSES_REGULARISERS_BINARY_REGULARIZATION_H_

#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// The mean over all elements of a map × mask, p the sigmoid of the prediction (or the prediction
// itself).
struct BinaryRegularization {
  static constexpr LossTraits kTraits = {.name = "BinaryRegularization",
                                         .summary = "Pushes probabilities away from one half.",
                                         .source = "PyTorch Connectomics",
                                         .definition = "1 / max(|σ(x) − ½|, min_threshold), × mask",
                                         .call_kind = CallKind::kPredOnly,
                                         .target_kind = TargetKind::kNone,
                                         .spatial_weight_arg = SpatialWeightArg::kMask,
                                         .computed = "blocks"};

  double min_threshold = 0.01;
  bool apply_sigmoid = true;

  OptionList Options() {
    return {{"min_threshold", &min_threshold, "Least distance from 0.5 that is told apart.",
             kPositiveNumber},
            {"apply_sigmoid", &apply_sigmoid, "Whether predictions are logits."}};
  }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGULARISERS_BINARY_REGULARIZATION_H_
