#ifndef LOSSD_LOSSES_POINTWISE_WEIGHTED_BCE_H_
#define LOSSD_LOSSES_POINTWISE_WEIGHTED_BCE_H_

#include <memory>
#include <optional>

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/traits.h"

namespace lossd {

struct WeightedBCE {
  static constexpr LossTraits kTraits = {.name = "WeightedBCEWithLogitsLoss",
                                         .summary = "Binary cross entropy of logits × weight.",
                                         .source = "PyTorch Connectomics",
                                         .definition = "BCE × weight",
                                         .spatial_weight_arg = SpatialWeightArg::kWeight,
                                         .pos_weight_use = PosWeightUse::kWeighsPositives};

  std::optional<double> pos_weight = {};
  Reduction reduction = Reduction::kMean;

  OptionList Options() {
    return {{"pos_weight", &pos_weight, "Weight of positives.", kPositiveNumber},
            {"reduction", &reduction, kWeightedReductionText}};
  }
  BinaryCrossEntropy Element() const { return {}; }
  std::optional<double> OwnPosWeight() const { return pos_weight; }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_WEIGHTED_BCE_H_
