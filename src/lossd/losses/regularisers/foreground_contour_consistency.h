#ifndef LOSSD_LOSSES_REGULARISERS_FOREGROUND_CONTOUR_CONSISTENCY_H_
#define LOSSD_LOSSES_REGULARISERS_FOREGROUND_CONTOUR_CONSISTENCY_H_

#include <cstdint>
#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// Of foreground logits and contour logits: the mean over all elements of a map × mask.
struct ForegroundContourConsistency {
  static constexpr LossTraits kTraits = {
      .name = "ForegroundContourConsistency",
      .summary = "Keeps contours at the edges of the predicted foreground.",
      .source = "PyTorch Connectomics",
      .definition = "(σ(contour) − widened in-plane edges of σ(foreground))², × mask",
      .call_kind = CallKind::kPredPred,
      .target_kind = TargetKind::kNone,
      .spatial_weight_arg = SpatialWeightArg::kMask,
      .computed = "blocks"};

  int64_t kernel_half_size = 1;
  double eps = 1e-7;

  OptionList Options() {
    static constexpr Range kHalfSize = {"1: other windows change the volume's size",
                                        [](double n) { return n == 1; }};
    static constexpr Range kEps = {"a number in (0, 0.5)",
                                   [](double x) { return x > 0 && x < 0.5; }};
    return {{"kernel_half_size", &kernel_half_size,
             "Half the window over which edges are widened, less its centre.", kHalfSize},
            {"eps", &eps, "Added under the root; edges are clamped to [eps, 1 − eps].", kEps}};
  }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGULARISERS_FOREGROUND_CONTOUR_CONSISTENCY_H_
