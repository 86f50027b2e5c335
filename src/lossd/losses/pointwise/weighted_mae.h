#ifndef LOSSD_LOSSES_POINTWISE_WEIGHTED_MAE_H_
#define LOSSD_LOSSES_POINTWISE_WEIGHTED_MAE_H_

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/pointwise/l1.h"
#include "lossd/losses/traits.h"

namespace lossd {

struct WeightedMAE {
  static constexpr LossTraits kTraits = {.name = "WeightedMAELoss",
                                         .summary = "Absolute error × weight.",
                                         .source = "PyTorch Connectomics",
                                         .definition = "|x − t| × weight",
                                         .spatial_weight_arg = SpatialWeightArg::kWeight};

  Reduction reduction = Reduction::kMean;
  bool tanh = false;

  OptionList Options() {
    return {{"reduction", &reduction, kWeightedReductionText}, {"tanh", &tanh, kTanhText}};
  }
  AbsoluteError Element() const { return {}; }
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_WEIGHTED_MAE_H_
