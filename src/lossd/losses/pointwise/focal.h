#ifndef LOSSD_LOSSES_POINTWISE_FOCAL_H_
#define LOSSD_LOSSES_POINTWISE_FOCAL_H_

#include <memory>
#include <optional>
#include <vector>

#include "lossd/losses/class_options.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// As monai.losses.FocalLoss, of logits. With to_onehot_y, targets are class indices [B, 1, …], else
// they have the prediction's shape.
struct Focal {
  static constexpr LossTraits kTraits = {
      .name = "FocalLoss",
      .summary = "Cross entropy that plays down what is already predicted well.",
      .source = "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; MONAI",
      .definition = "(1 − probability of the target)^γ × cross entropy",
      .computed = "blocks"};

  bool include_background = true;
  bool to_onehot_y = false;
  double gamma = 2;
  std::optional<double> alpha = {};
  std::vector<double> weight = {};
  Reduction reduction = Reduction::kMean;
  bool use_softmax = false;

  OptionList Options() {
    return {{"include_background", &include_background, kIncludeBackgroundText},
            {"to_onehot_y", &to_onehot_y, kToOnehotYText},
            {"gamma", &gamma, "Exponent of the focal factor."},
            {"alpha", &alpha, "Weight of positives, negatives have 1 − alpha.", kFraction},
            {"weight", &weight, kClassWeightText, kNotNegativeNumber},
            {"reduction", &reduction,
             "Of the loss map; sum adds the spatial means of samples and channels."},
            {"use_softmax", &use_softmax,
             "Whether the classes exclude each other: softmax in place of sigmoid."}};
  }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_FOCAL_H_
