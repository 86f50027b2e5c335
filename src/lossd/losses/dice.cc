#include "lossd/losses/dice.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/class_channels.h"
#include "lossd/losses/focal.h"
#include "lossd/losses/overlap.h"
#include "lossd/losses/overlap_loss.h"
#include "lossd/losses/reduction.h"

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

// Dice as a LibTorch expression, for losses made of it.
absl::StatusOr<at::Tensor> Dice(const LossInputs& inputs, const DiceOptions& options) {
  const absl::StatusOr<ClassChannels> channels = PrepareClassChannels(inputs, options.classes);
  if (!channels.ok()) return channels.status();
  return DiceOfOverlap(ComputeOverlap(channels->pred, channels->target, options.overlap), options,
                       inputs.pred.dim() - 2);
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

class DiceCeLoss : public AutogradLoss {
 public:
  explicit DiceCeLoss(const v1::DiceCELossOptions& options)
      : dice_(DiceOptionsOf(options)),
        weight_(options.weight()),
        lambda_dice_(options.lambda_dice()),
        lambda_ce_(options.lambda_ce()),
        label_smoothing_(options.label_smoothing()) {
    // The weight is one of all classes; Dice sees that of the classes that count.
    if (!dice_.classes.include_background && !dice_.weight.empty()) {
      dice_.weight.erase(dice_.weight.begin());
    }
  }

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckClassChannels(inputs, dice_.classes.to_onehot_y); !status.ok()) {
      return status;
    }
    const int64_t channels = inputs.pred.size(1);
    if (weight_.empty() || weight_.size() == channels) return absl::OkStatus();
    return FieldError("kwargs.weight", absl::StrCat(weight_.size(), " values"),
                      absl::StrCat("one for each of the ", channels, " channels"));
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const absl::StatusOr<at::Tensor> dice = Dice(inputs, dice_);
    if (!dice.ok()) return dice;
    return lambda_dice_ * *dice + lambda_ce_ * CrossEntropy(inputs);
  }

 private:
  at::Tensor CrossEntropy(const LossInputs& inputs) const {
    std::optional<at::Tensor> weight;
    if (!weight_.empty()) {
      weight =
          at::tensor(std::vector<double>(weight_.begin(), weight_.end()), inputs.pred.options());
    }
    const int64_t reduction = TorchReduction(dice_.reduction);
    if (inputs.pred.size(1) == 1) {
      return at::binary_cross_entropy_with_logits(
          inputs.pred, inputs.target.to(inputs.pred.scalar_type()), {}, weight, reduction);
    }
    // Class indices, or the probabilities of the classes.
    const at::Tensor target = dice_.classes.to_onehot_y
                                  ? ClassIndices(inputs.target, inputs.pred)
                                  : inputs.target.to(inputs.pred.scalar_type());
    return at::cross_entropy_loss(inputs.pred, target, weight, reduction, /*ignore_index=*/-100,
                                  label_smoothing_);
  }

  DiceOptions dice_;
  const ClassWeight weight_;
  const double lambda_dice_;
  const double lambda_ce_;
  const double label_smoothing_;
};

class DiceFocalLoss : public AutogradLoss {
 public:
  explicit DiceFocalLoss(const v1::DiceFocalLossOptions& options)
      : dice_(DiceOptionsOf(options)),
        focal_(FocalOptionsOf(options)),
        lambda_dice_(options.lambda_dice()),
        lambda_focal_(options.lambda_focal()) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckClassChannels(inputs, dice_.classes.to_onehot_y); !status.ok()) {
      return status;
    }
    return CheckClassWeight(dice_.weight,
                            CountedChannels(inputs.pred.size(1), dice_.classes.include_background));
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const absl::StatusOr<at::Tensor> dice = Dice(inputs, dice_);
    if (!dice.ok()) return dice;
    const absl::StatusOr<at::Tensor> focal = Focal(inputs, focal_);
    if (!focal.ok()) return focal;
    return lambda_dice_ * *dice + lambda_focal_ * *focal;
  }

 private:
  const DiceOptions dice_;
  const FocalOptions focal_;
  const double lambda_dice_;
  const double lambda_focal_;
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
  return std::make_unique<DiceCeLoss>(own);
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
  return std::make_unique<DiceFocalLoss>(own);
}

}  // namespace lossd
