#include "lossd/losses/overlap/dice_ce.h"

#include <ATen/ATen.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/overlap/dice.h"
#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/losses/pointwise/cross_entropy.h"
#include "lossd/sweep/loss_sum.h"

namespace lossd {
namespace {

std::unique_ptr<const Loss> DiceOf(const DiceCE& options) {
  Dice dice = {.include_background = options.include_background,
               .to_onehot_y = options.to_onehot_y,
               .sigmoid = options.sigmoid,
               .softmax = options.softmax,
               .squared_pred = options.squared_pred,
               .jaccard = options.jaccard,
               .reduction = options.reduction,
               .smooth_nr = options.smooth_nr,
               .smooth_dr = options.smooth_dr,
               .batch = options.batch,
               .weight = options.weight};
  // The weight is one of all classes; Dice sees that of the classes that count.
  if (!dice.include_background && !dice.weight.empty()) dice.weight.erase(dice.weight.begin());
  return dice.Make();
}

std::unique_ptr<const Loss> SumOf(const DiceCE& options, std::unique_ptr<const Loss> entropy) {
  return MakeLossSum({options.lambda_dice, DiceOf(options)},
                     {options.lambda_ce, std::move(entropy)});
}

// The cross entropy of the classes; that of a single channel is binary.
class DiceCELoss : public Loss {
 public:
  explicit DiceCELoss(const DiceCE& options)
      : weights_(options.weight.size()),
        binary_(SumOf(
            options,
            BCEWithLogits{.reduction = options.reduction, .pos_weight = options.weight}.Make())),
        of_classes_(SumOf(options, MakeCrossEntropy({.weight = options.weight,
                                                     .reduction = options.reduction,
                                                     .label_smoothing = options.label_smoothing},
                                                    /*of_probabilities=*/!options.to_onehot_y))) {}

  absl::StatusOr<LossResult> Compute(const LossInputs& inputs,
                                     const Context& context) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    const int64_t channels = inputs.pred.size(1);
    if (weights_ != 0 && weights_ != static_cast<size_t>(channels)) {
      return FieldError("kwargs.weight", absl::StrCat(weights_, " values"),
                        absl::StrCat("one for each of the ", channels,
                                     " channels, background included, as in MONAI"));
    }
    return OfChannels(channels).Compute(inputs, context);
  }

  int64_t ScratchBytes(const LossShape& shape) const override {
    return OfChannels(shape.channels()).ScratchBytes(shape);
  }

  double Cost(const LossShape& shape) const override {
    return OfChannels(shape.channels()).Cost(shape);
  }

 private:
  const Loss& OfChannels(int64_t channels) const { return channels == 1 ? *binary_ : *of_classes_; }

  const size_t weights_;
  const std::unique_ptr<const Loss> binary_;
  const std::unique_ptr<const Loss> of_classes_;
};

}  // namespace

std::optional<OptionProblem> DiceCE::Check() const {
  if (reduction == Reduction::kNone) {
    return OptionProblem{.option = "reduction",
                         .given = "none",
                         .expected = "mean or sum: Dice and cross entropy differ in shape"};
  }
  return CheckActivation(sigmoid, softmax);
}

std::unique_ptr<const Loss> DiceCE::Make() const { return std::make_unique<DiceCELoss>(*this); }

}  // namespace lossd
