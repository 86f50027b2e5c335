#ifndef LOSSD_LOSSES_POINTWISE_LOG_COSH_H_
#define LOSSD_LOSSES_POINTWISE_LOG_COSH_H_

#include <numbers>

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/traits.h"
#include "lossd/sweep/element.h"

namespace lossd {

// log(cosh(d)), which is |d| + log(1 + exp(−2|d|)) − log(2): cosh itself overflows beyond 89.
struct LogOfCosh {
  LOSSD_VECTORIZED LossAndSlope operator()(float difference) const {
    // Near 0 that cancels: the Taylor series.
    const float q = difference * difference;
    float p = 2.56580e-4F;
    p = p * q - 7.38603e-4F;
    p = p * q + 2.18695e-3F;
    p = p * q - 6.74603e-3F;
    p = p * q + 2.22222e-2F;
    p = p * q - 8.33333e-2F;
    p = p * q + 0.5F;
    const float magnitude = Abs(difference);
    const float large =
        magnitude + (LogOnePlus(ExpMinus(2.0F * magnitude)) - std::numbers::ln2_v<float>);
    return {.loss = magnitude < 0.625F ? p * q : large, .slope = Tanh(difference)};
  }
  auto Map(const auto& pred, const auto& target) const {
    const auto magnitude = (pred - target).abs();
    return magnitude + (magnitude * -2).exp().log1p() - std::numbers::ln2;
  }
};

struct LogCosh {
  static constexpr LossTraits kTraits = {
      .name = "LogCoshLoss",
      .summary = "Quadratic for small errors, linear for large ones, smooth everywhere.",
      .source = "Keras (tf.keras.losses.LogCosh)",
      .definition = "log cosh(x − t) × weight",
      .spatial_weight_arg = SpatialWeightArg::kWeight};

  Reduction reduction = Reduction::kMean;

  OptionList Options() { return {{"reduction", &reduction, kWeightedReductionText}}; }
  LogOfCosh Element() const { return {}; }
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_LOG_COSH_H_
