#ifndef LOSSD_LOSSES_POINTWISE_WEIGHTED_MSE_H_
#define LOSSD_LOSSES_POINTWISE_WEIGHTED_MSE_H_

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/pointwise/mse.h"
#include "lossd/losses/traits.h"

namespace lossd {

struct WeightedMSE {
  static constexpr LossTraits kTraits = {.name = "WeightedMSELoss",
                                         .summary = "Squared error × weight.",
                                         .source = "PyTorch Connectomics",
                                         .definition = "(x − t)² × weight",
                                         .spatial_weight_arg = SpatialWeightArg::kWeight};

  Reduction reduction = Reduction::kMean;
  bool tanh = false;

  OptionList Options() {
    return {{"reduction", &reduction, kWeightedReductionText}, {"tanh", &tanh, kTanhText}};
  }
  SquaredError Element() const { return {}; }
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_WEIGHTED_MSE_H_
