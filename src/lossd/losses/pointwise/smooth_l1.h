#ifndef LOSSD_LOSSES_POINTWISE_SMOOTH_L1_H_
#define LOSSD_LOSSES_POINTWISE_SMOOTH_L1_H_

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/pointwise/l1.h"
#include "lossd/losses/traits.h"

namespace lossd {

struct SmoothAbsoluteError {
  // 0 makes it the absolute error.
  float beta;

  LOSSD_VECTORIZED LossAndSlope operator()(float difference) const {
    const float magnitude = Abs(difference);
    const bool quadratic = magnitude < beta;
    const float slope = difference / beta;
    return {.loss = quadratic ? 0.5F * slope * difference : magnitude - 0.5F * beta,
            .slope = quadratic ? slope : Sign(difference)};
  }
  auto Map(const auto& pred, const auto& target) const {
    // The absolute error has a derivative at 0, unlike LibTorch's limit.
    return beta == 0 ? AbsoluteError().Map(pred, target)
                     : smooth_l1_loss(pred, target, kNotReduced, beta);
  }
};

// PyTorch's smooth_l1 × weight.
struct SmoothL1 {
  static constexpr LossTraits kTraits = {
      .name = "SmoothL1Loss",
      .summary = "Quadratic for small errors, linear for large ones.",
      .source = "PyTorch Connectomics",
      .definition = "½e²/β where e = |x − t| < β, else e − β/2, × weight",
      .spatial_weight_arg = SpatialWeightArg::kWeight};

  double beta = 1;
  Reduction reduction = Reduction::kMean;
  bool tanh = false;

  OptionList Options() {
    return {{"beta", &beta, "Where the loss turns from quadratic to linear.", kNotNegativeNumber},
            {"reduction", &reduction, kWeightedReductionText},
            {"tanh", &tanh, kTanhText}};
  }
  SmoothAbsoluteError Element() const { return {.beta = static_cast<float>(beta)}; }
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_SMOOTH_L1_H_
