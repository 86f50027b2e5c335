#ifndef LOSSD_LOSSES_POINTWISE_L1_H_
#define LOSSD_LOSSES_POINTWISE_L1_H_

#include <optional>

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/traits.h"
#include "lossd/sweep/element.h"

namespace lossd {

// −1, 0 or 1.
LOSSD_VECTORIZED float Sign(float x) {
  return static_cast<float>(x > 0) - static_cast<float>(x < 0);
}

struct AbsoluteError {
  LOSSD_VECTORIZED LossAndSlope operator()(float difference) const {
    return {.loss = Abs(difference), .slope = Sign(difference)};
  }
  auto Map(const auto& pred, const auto& target) const {
    return l1_loss(pred, target, kNotReduced);
  }
};

struct L1 {
  static constexpr LossTraits kTraits = {.name = "L1Loss",
                                         .summary = "Absolute error.",
                                         .source = "torch.nn",
                                         .definition = "|x − t|, as torch.nn"};

  std::optional<bool> size_average = {};
  std::optional<bool> reduce = {};
  Reduction reduction = Reduction::kMean;

  OptionList Options() {
    return {{"size_average", &size_average, kSizeAverageText},
            {"reduce", &reduce, kReduceText},
            {"reduction", &reduction, "Of the loss map."}};
  }
  AbsoluteError Element() const { return {}; }
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_L1_H_
