#ifndef LOSSD_LOSSES_POINTWISE_PER_CHANNEL_BCE_H_
#define LOSSD_LOSSES_POINTWISE_PER_CHANNEL_BCE_H_

#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/losses/traits.h"

namespace lossd {

// Each channel with its own weight of positives, the channels' losses added.
struct PerChannelBCE {
  static constexpr LossTraits kTraits = {
      .name = "PerChannelBCEWithLogitsLoss",
      .summary = "Binary cross entropy with classes balanced for each channel.",
      .source = "PyTorch Connectomics",
      .definition =
          "BCE × weight with positives weighted by negatives / positives, per channel; "
          "the channels added",
      .spatial_weight_arg = SpatialWeightArg::kWeight,
      .pos_weight_use = PosWeightUse::kBalancesClassesOnRequest};

  bool auto_pos_weight = true;
  double max_pos_weight = 10;
  Reduction reduction = Reduction::kMean;

  OptionList Options() {
    return {{"auto_pos_weight", &auto_pos_weight,
             "Whether positives are weighted by negatives / positives, per channel."},
            {"max_pos_weight", &max_pos_weight, "Cap of that weight.", kPositiveNumber},
            {"reduction", &reduction, "Per channel, before the channels are added."}};
  }
  BinaryCrossEntropy Element() const { return {}; }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_PER_CHANNEL_BCE_H_
