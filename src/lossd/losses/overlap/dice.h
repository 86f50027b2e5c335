#ifndef LOSSD_LOSSES_OVERLAP_DICE_H_
#define LOSSD_LOSSES_OVERLAP_DICE_H_

#include <memory>
#include <optional>
#include <vector>

#include "lossd/losses/class_options.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// As monai.losses.DiceLoss. With to_onehot_y, targets are class indices [B, 1, …], else they have
// the prediction's shape.
struct Dice {
  static constexpr LossTraits kTraits = {
      .name = "DiceLoss",
      .summary = "One minus the soft Dice (or Jaccard) overlap of each channel.",
      .source = "Milletari et al., V-Net, 3DV 2016; MONAI",
      .definition = "1 − (2 Σpt + smooth_nr) / (Σp + Σt + smooth_dr) of each sample and channel"};

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
  bool soft_label = false;

  OptionList Options() {
    return {{"include_background", &include_background, kIncludeBackgroundText},
            {"to_onehot_y", &to_onehot_y, kToOnehotYText},
            {"sigmoid", &sigmoid, kSigmoidText},
            {"softmax", &softmax, kSoftmaxText},
            OtherActivation(),
            {"squared_pred", &squared_pred, kSquaredPredText},
            {"jaccard", &jaccard, kJaccardText},
            {"reduction", &reduction, "Of the losses per sample and channel."},
            {"smooth_nr", &smooth_nr, kSmoothNrText},
            {"smooth_dr", &smooth_dr, kSmoothDrText},
            {"batch", &batch, kBatchText},
            {"weight", &weight, kClassWeightText, kNotNegativeNumber},
            {"soft_label", &soft_label, kSoftLabelText}};
  }
  std::optional<OptionProblem> Check() const { return CheckActivation(sigmoid, softmax); }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_DICE_H_
