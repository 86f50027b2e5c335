#ifndef LOSSD_LOSSES_OVERLAP_DICE_CE_H_
#define LOSSD_LOSSES_OVERLAP_DICE_CE_H_

#include <memory>
#include <optional>
#include <vector>

#include "lossd/losses/class_options.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// As monai.losses.DiceCELoss: the cross entropy (binary for a single channel) is that of logits.
struct DiceCE {
  static constexpr LossTraits kTraits = {
      .name = "DiceCELoss",
      .summary = "Dice plus cross entropy.",
      .source = "MONAI",
      .definition = "lambda_dice · Dice + lambda_ce · cross entropy (binary for a single channel)",
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
  std::vector<double> weight = {};
  double lambda_dice = 1;
  double lambda_ce = 1;
  double label_smoothing = 0;

  OptionList Options() {
    return {
        {"include_background", &include_background, kIncludeBackgroundText},
        {"to_onehot_y", &to_onehot_y, kToOnehotYText},
        {"sigmoid", &sigmoid, kSigmoidText},
        {"softmax", &softmax, kSoftmaxText},
        OtherActivation(),
        {"squared_pred", &squared_pred, kSquaredPredText},
        {"jaccard", &jaccard, kJaccardText},
        {"reduction", &reduction, "Of both losses; none is an error."},
        {"smooth_nr", &smooth_nr, kSmoothNrText},
        {"smooth_dr", &smooth_dr, kSmoothDrText},
        {"batch", &batch, kBatchText},
        {"weight", &weight,
         "Weight of each class, background included. For a single channel, the weight of "
         "positives.",
         kNotNegativeNumber},
        {"lambda_dice", &lambda_dice, kLambdaDiceText, kNotNegativeNumber},
        {"lambda_ce", &lambda_ce, "Factor of the cross entropy.", kNotNegativeNumber},
        {"label_smoothing", &label_smoothing,
         "Share of the cross entropy's target that is spread evenly over the classes.", kFraction}};
  }
  std::optional<OptionProblem> Check() const;
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_DICE_CE_H_
