#ifndef LOSSD_LOSSES_OVERLAP_DICE_FOCAL_H_
#define LOSSD_LOSSES_OVERLAP_DICE_FOCAL_H_

#include <memory>
#include <optional>
#include <vector>

#include "lossd/losses/class_options.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// As monai.losses.DiceFocalLoss: the focal loss is that of logits.
struct DiceFocal {
  static constexpr LossTraits kTraits = {
      .name = "DiceFocalLoss",
      .summary = "Dice plus focal loss.",
      .source = "MONAI",
      .definition = "lambda_dice · Dice + lambda_focal · focal loss",
      .computed = "sweep + blocks"};

  bool include_background = true;
  bool to_onehot_y = false;
  bool sigmoid = false;
  bool softmax = false;
  bool squared_pred = false;
  bool jaccard = false;
  Reduction reduction = Reduction::kMean;
  double smooth_nr = 1e-5;
  double smooth_dr = 1e-5;
  bool batch = false;
  double gamma = 2;
  std::vector<double> weight = {};
  double lambda_dice = 1;
  double lambda_focal = 1;
  std::optional<double> alpha = {};

  OptionList Options() {
    return {{"include_background", &include_background, kIncludeBackgroundText},
            {"to_onehot_y", &to_onehot_y, kToOnehotYText},
            {"sigmoid", &sigmoid, kSigmoidText},
            {"softmax", &softmax, kSoftmaxText},
            OtherActivation(),
            {"squared_pred", &squared_pred, kSquaredPredText},
            {"jaccard", &jaccard, kJaccardText},
            {"reduction", &reduction, "Of both losses."},
            {"smooth_nr", &smooth_nr, kSmoothNrText},
            {"smooth_dr", &smooth_dr, kSmoothDrText},
            {"batch", &batch, kBatchText},
            {"gamma", &gamma, "Exponent of the focal factor."},
            {"weight", &weight, kClassWeightText, kNotNegativeNumber},
            {"lambda_dice", &lambda_dice, kLambdaDiceText, kNotNegativeNumber},
            {"lambda_focal", &lambda_focal, "Factor of the focal loss.", kNotNegativeNumber},
            {"alpha", &alpha, "Weight of positives, negatives have 1 − alpha.", kFraction}};
  }
  std::optional<OptionProblem> Check() const { return CheckActivation(sigmoid, softmax); }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_DICE_FOCAL_H_
