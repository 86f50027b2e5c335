#include "lossd/losses/dice.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/bce.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/class_channels.h"
#include "lossd/losses/cross_entropy.h"
#include "lossd/losses/focal.h"
#include "lossd/losses/overlap.h"
#include "lossd/losses/overlap_loss.h"
#include "lossd/losses/torch_status.h"

namespace lossd {
namespace {

using ClassWeight = google::protobuf::RepeatedField<double>;

// What the three losses have in common.
struct DiceOptions {
  ClassOptions classes;
  OverlapOptions overlap;
  bool jaccard = false;
  double smooth_nr = 0;
  double smooth_dr = 0;
  ClassWeight weight;
  v1::Reduction reduction = v1::REDUCTION_MEAN;
};

template <typename Options>
DiceOptions DiceOptionsOf(const Options& options) {
  return {.classes = ClassOptionsOf(options),
          .overlap = {.squared_pred = options.squared_pred(), .batch = options.batch()},
          .jaccard = options.jaccard(),
          .smooth_nr = options.smooth_nr(),
          .smooth_dr = options.smooth_dr(),
          .weight = options.weight(),
          .reduction = options.reduction()};
}

template <typename Options>
absl::Status CheckDiceOptions(const Options& options) {
  return FirstError(
      {CheckReduction(options.reduction()), CheckActivation(options.sigmoid(), options.softmax()),
       CheckFinite("smooth_nr", options.smooth_nr()), CheckFinite("smooth_dr", options.smooth_dr()),
       CheckNotNegativeList("weight", options.weight())});
}

at::Tensor DiceOfOverlap(const Overlap& overlap, const DiceOptions& options, int64_t spatial_dims) {
  // Dice counts errors half.
  const double error_weight = options.jaccard ? 1 : 0.5;
  const at::Tensor all = overlap.true_positives + error_weight * overlap.false_positives +
                         error_weight * overlap.false_negatives;
  const at::Tensor losses =
      1 - (2 * overlap.true_positives + options.smooth_nr) / (2 * all + options.smooth_dr);
  return ReduceClasses(TimesClassWeight(losses, options.weight, losses.dim() - 1),
                       options.reduction, spatial_dims);
}

class DiceLoss : public OverlapLoss {
 public:
  explicit DiceLoss(DiceOptions options)
      : OverlapLoss(options.classes, options.overlap), options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = OverlapLoss::Check(inputs); !status.ok()) return status;
    return CheckClassWeight(
        options_.weight, CountedChannels(inputs.pred.size(1), options_.classes.include_background));
  }

  at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const override {
    return DiceOfOverlap(overlap, options_, spatial_dims);
  }

 private:
  const DiceOptions options_;
};

// The cross entropy of the classes; that of a single channel is binary.
class AnyCrossEntropyLoss : public Loss {
 public:
  explicit AnyCrossEntropyLoss(const v1::DiceCELossOptions& options)
      : weight_(options.weight()),
        binary_(MakeBceLoss(options.weight(), options.reduction())),
        of_classes_(
            MakeCrossEntropyLoss({.weight = {options.weight().begin(), options.weight().end()},
                                  .reduction = options.reduction(),
                                  .label_smoothing = options.label_smoothing(),
                                  .probabilities = !options.to_onehot_y()})) {}

  absl::StatusOr<ValueAndGradient> Compute(const LossInputs& inputs,
                                           const Context& context) const override {
    const int64_t channels = inputs.pred.size(1);
    if (!weight_.empty() && weight_.size() != channels) {
      return FieldError("kwargs.weight", absl::StrCat(weight_.size(), " values"),
                        absl::StrCat("one for each of the ", channels, " channels"));
    }
    return channels == 1 ? binary_->Compute(inputs, context)
                         : of_classes_->Compute(inputs, context);
  }

 private:
  const ClassWeight weight_;
  const std::unique_ptr<const Loss> binary_;
  const std::unique_ptr<const Loss> of_classes_;
};

// A loss and the factor that it has in a sum.
struct Summand {
  double factor;
  std::unique_ptr<const Loss> loss;
};

// Dice plus another loss, which may be a map.
class DicePlusLoss : public Loss {
 public:
  DicePlusLoss(Summand dice, Summand other) : dice_(std::move(dice)), other_(std::move(other)) {}

  absl::StatusOr<ValueAndGradient> Compute(const LossInputs& inputs,
                                           const Context& context) const override {
    return CatchTorchErrors([&]() -> absl::StatusOr<ValueAndGradient> {
      absl::StatusOr<ValueAndGradient> dice = dice_.loss->Compute(inputs, context);
      if (!dice.ok()) return dice;
      const absl::StatusOr<ValueAndGradient> other = other_.loss->Compute(inputs, context);
      if (!other.ok()) return other;
      const at::NoGradGuard no_grad;
      ValueAndGradient sum = {.value = dice_.factor * dice->value + other_.factor * other->value};
      if (inputs.want_gradient) {
        // Dice counts as often as it is added to elements of a map.
        const int64_t times = sum.value.numel() / dice->value.numel();
        sum.gradient = std::move(dice->gradient);
        if (const double factor = dice_.factor * static_cast<double>(times); factor != 1) {
          sum.gradient.mul_(factor);
        }
        sum.gradient.add_(other->gradient, other_.factor);
      }
      return sum;
    });
  }

 private:
  const Summand dice_;
  const Summand other_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateDiceLoss(const v1::LossOptions& options) {
  const auto& own = options.dice();
  if (absl::Status status = CheckDiceOptions(own); !status.ok()) return status;
  DiceOptions dice = DiceOptionsOf(own);
  dice.overlap.soft_label = own.soft_label();
  return std::make_unique<DiceLoss>(std::move(dice));
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateDiceCELoss(const v1::LossOptions& options) {
  const auto& own = options.dice_ce();
  if (absl::Status status =
          FirstError({CheckDiceOptions(own), CheckNotNegative("lambda_dice", own.lambda_dice()),
                      CheckNotNegative("lambda_ce", own.lambda_ce()),
                      CheckFraction("label_smoothing", own.label_smoothing())});
      !status.ok()) {
    return status;
  }
  if (own.reduction() == v1::REDUCTION_NONE) {
    return FieldError("reduction", "none", "mean or sum: Dice and cross entropy differ in shape");
  }
  DiceOptions dice = DiceOptionsOf(own);
  // The weight is one of all classes; Dice sees that of the classes that count.
  if (!own.include_background() && !dice.weight.empty()) dice.weight.erase(dice.weight.begin());
  return std::make_unique<DicePlusLoss>(
      Summand{own.lambda_dice(), std::make_unique<DiceLoss>(std::move(dice))},
      Summand{own.lambda_ce(), std::make_unique<AnyCrossEntropyLoss>(own)});
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateDiceFocalLoss(const v1::LossOptions& options) {
  const auto& own = options.dice_focal();
  if (absl::Status status =
          FirstError({CheckDiceOptions(own), CheckNotNegative("lambda_dice", own.lambda_dice()),
                      CheckNotNegative("lambda_focal", own.lambda_focal()),
                      CheckFinite("gamma", own.gamma()), CheckFraction("alpha", own.alpha())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<DicePlusLoss>(
      Summand{own.lambda_dice(), std::make_unique<DiceLoss>(DiceOptionsOf(own))},
      Summand{own.lambda_focal(), MakeFocalLoss(FocalOptionsOf(own))});
}

}  // namespace lossd
