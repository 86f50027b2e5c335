#ifndef LOSSD_LOSSES_POINTWISE_BCE_WITH_LOGITS_H_
#define LOSSD_LOSSES_POINTWISE_BCE_WITH_LOGITS_H_

#include <memory>
#include <optional>
#include <vector>

#include "lossd/losses/option.h"
#include "lossd/losses/pointwise/common_options.h"
#include "lossd/losses/traits.h"
#include "lossd/sweep/element.h"

namespace lossd {

class Loss;

// Of a logit and a probability.
struct BinaryCrossEntropy {
  float pos_weight = 1;  // Of positives.

  LOSSD_VECTORIZED LossAndSlope operator()(float x, float t) const {
    const float e = ExpMinus(Abs(x));
    const float reciprocal = 1.0F / (1.0F + e);
    const float likely = x < 0 ? e * reciprocal : reciprocal;    // σ(x)
    const float unlikely = x < 0 ? reciprocal : e * reciprocal;  // σ(−x)
    const float negative = 1.0F - t;
    const float positive = pos_weight * t;
    const float of_negative = x > 0 ? x : 0.0F;
    const float of_positive = x < 0 ? -x : 0.0F;
    return {.loss = negative * of_negative + positive * of_positive +
                    (negative + positive) * LogOnePlus(e),
            .slope = negative * likely - positive * unlikely};
  }
};

// That of positives that weigh so much.
inline BinaryCrossEntropy BinaryCrossEntropyOf(double pos_weight) {
  return {.pos_weight = static_cast<float>(pos_weight)};
}

struct BCEWithLogits {
  static constexpr LossTraits kTraits = {
      .name = "BCEWithLogitsLoss",
      .summary = "Binary cross entropy of logits.",
      .source = "torch.nn",
      .definition = "−t·log σ(x) − (1 − t)·log σ(−x), as torch.nn"};

  std::vector<double> weight = {};
  std::optional<bool> size_average = {};
  std::optional<bool> reduce = {};
  Reduction reduction = Reduction::kMean;
  std::vector<double> pos_weight = {};

  OptionList Options() {
    return {
        {"weight", &weight,
         "Weight of each element, broadcast to the target as a PyTorch tensor of that shape: one "
         "number for all, or one for each position along the last dimension."},
        {"size_average", &size_average, kSizeAverageText},
        {"reduce", &reduce, kReduceText},
        {"reduction", &reduction, "Of the loss map."},
        {"pos_weight", &pos_weight, "Weight of positives, broadcast like weight."}};
  }
  BinaryCrossEntropy Element() const { return {}; }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_BCE_WITH_LOGITS_H_
