#ifndef LOSSD_LOSSES_POINTWISE_MSE_H_
#define LOSSD_LOSSES_POINTWISE_MSE_H_

#include <optional>

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/traits.h"
#include "lossd/sweep/element.h"

namespace lossd {

struct SquaredError {
  LOSSD_VECTORIZED LossAndSlope operator()(float difference) const {
    return {.loss = difference * difference, .slope = 2.0F * difference};
  }
  auto Map(const auto& pred, const auto& target) const {
    return mse_loss(pred, target, kNotReduced);
  }
};

struct MSE {
  static constexpr LossTraits kTraits = {.name = "MSELoss",
                                         .summary = "Squared error.",
                                         .source = "torch.nn",
                                         .definition = "(x − t)², as torch.nn"};

  std::optional<bool> size_average = {};
  std::optional<bool> reduce = {};
  Reduction reduction = Reduction::kMean;

  OptionList Options() {
    return {{"size_average", &size_average, kSizeAverageText},
            {"reduce", &reduce, kReduceText},
            {"reduction", &reduction, "Of the loss map."}};
  }
  SquaredError Element() const { return {}; }
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_MSE_H_
