#ifndef LOSSD_LOSSES_POINTWISE_SCNP_H_
#define LOSSD_LOSSES_POINTWISE_SCNP_H_

#include <cstdint>
#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// Same-class neighbour penalisation: PerChannelBCEWithLogitsLoss of logits that are replaced by the
// worst of their own class (target > 0.5 or not) in a window around them, the least of the
// foreground, the greatest of the background. The gradient goes to the voxel chosen, the first in
// memory order of several.
struct Scnp {
  static constexpr LossTraits kTraits = {
      .name = "ScnpLoss",
      .summary = "Binary cross entropy of the worst neighbour of the same class.",
      .source =
          "Lipman et al., Towards High-Quality Image Segmentation: Improving Topology Accuracy "
          "by Penalizing Neighbor Pixels, CVPR 2026",
      .definition = "PerChannelBCE of each voxel's worst neighbour of its class in a window",
      .spatial_weight_arg = SpatialWeightArg::kWeight};

  int64_t neighborhood_size = 3;
  bool auto_pos_weight = true;
  double max_pos_weight = 10;
  Reduction reduction = Reduction::kMean;

  OptionList Options() {
    // The time grows with the cube of the size.
    static constexpr Range kWindow = {"an odd number, 1 to 15", [](double n) {
                                        return n >= 1 && n <= 15 && static_cast<int>(n) % 2 == 1;
                                      }};
    return {{"neighborhood_size", &neighborhood_size,
             "Side of the window in which the worst neighbour is looked for.", kWindow},
            {"auto_pos_weight", &auto_pos_weight,
             "Whether positives are weighted by negatives / positives, per channel."},
            {"max_pos_weight", &max_pos_weight, "Cap of that weight.", kPositiveNumber},
            {"reduction", &reduction, "Per channel, before the channels are added."}};
  }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_SCNP_H_
