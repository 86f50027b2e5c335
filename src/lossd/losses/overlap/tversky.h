#ifndef LOSSD_LOSSES_OVERLAP_TVERSKY_H_
#define LOSSD_LOSSES_OVERLAP_TVERSKY_H_

#include <memory>
#include <optional>

#include "lossd/losses/class_options.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// As monai.losses.TverskyLoss.
struct Tversky {
  static constexpr LossTraits kTraits = {
      .name = "TverskyLoss",
      .summary = "Dice with separate weights of false positives and false negatives.",
      .source = "Salehi et al., MLMI 2017; MONAI",
      .definition = "1 − Σpt / (Σpt + alpha·Σp(1 − t) + beta·Σ(1 − p)t)"};

  bool include_background = true;
  bool to_onehot_y = false;
  bool sigmoid = false;
  bool softmax = false;
  double alpha = 0.5;
  double beta = 0.5;
  Reduction reduction = Reduction::kMean;
  double smooth_nr = 1e-5;
  double smooth_dr = 1e-5;
  bool batch = false;
  bool soft_label = false;

  OptionList Options() {
    return {{"include_background", &include_background, kIncludeBackgroundText},
            {"to_onehot_y", &to_onehot_y, kToOnehotYText},
            {"sigmoid", &sigmoid, kSigmoidText},
            {"softmax", &softmax, kSoftmaxText},
            OtherActivation(),
            {"alpha", &alpha, "Weight of false positives."},
            {"beta", &beta, "Weight of false negatives."},
            {"reduction", &reduction, "Of the losses per sample and channel."},
            {"smooth_nr", &smooth_nr, kSmoothNrText},
            {"smooth_dr", &smooth_dr, kSmoothDrText},
            {"batch", &batch, kBatchText},
            {"soft_label", &soft_label, kSoftLabelText}};
  }
  std::optional<OptionProblem> Check() const { return CheckActivation(sigmoid, softmax); }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_TVERSKY_H_
