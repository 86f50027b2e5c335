#include "lossd/losses/bce.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/fused_pointwise.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

// A list option as PyTorch would have it, a tensor that broadcasts; none when empty.
std::optional<at::Tensor> ListTensor(const google::protobuf::RepeatedField<double>& values,
                                     const at::Tensor& like) {
  if (values.empty()) return std::nullopt;
  return at::tensor(std::vector<double>(values.begin(), values.end()), like.options());
}

absl::Status CheckListBroadcasts(absl::string_view field, int size, const at::Tensor& pred) {
  if (size <= 1 || size == pred.size(-1)) return absl::OkStatus();
  return FieldError(field, absl::StrCat(size, " values"),
                    absl::StrCat("1, or one for each of the ", pred.size(-1),
                                 " positions along the last dimension"));
}

class BceLoss : public PointwiseLoss {
 public:
  explicit BceLoss(v1::BCEWithLogitsLossOptions options) : options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPredTarget(inputs); !status.ok()) return status;
    return FirstError(
        {CheckListBroadcasts("kwargs.weight", options_.weight_size(), inputs.pred),
         CheckListBroadcasts("kwargs.pos_weight", options_.pos_weight_size(), inputs.pred)});
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    return at::binary_cross_entropy_with_logits(
        inputs.pred, inputs.target.to(inputs.pred.scalar_type()),
        ListTensor(options_.weight(), inputs.pred), ListTensor(options_.pos_weight(), inputs.pred),
        TorchReduction(LegacyReduction(options_)));
  }

  std::optional<FusedPointwise> Fused(const LossInputs& /*inputs*/) const override {
    if (!options_.weight().empty() || options_.pos_weight_size() > 1) return std::nullopt;
    return FusedPointwise{.kernel = &BceBlock,
                          .reduction = LegacyReduction(options_),
                          .weighted = false,
                          .pos_weight = options_.pos_weight().empty() ? 1 : options_.pos_weight(0)};
  }

 private:
  const v1::BCEWithLogitsLossOptions options_;
};

// The loss map, before any weight.
at::Tensor BceMap(const LossInputs& inputs, const std::optional<at::Tensor>& pos_weight) {
  return at::binary_cross_entropy_with_logits(inputs.pred,
                                              inputs.target.to(inputs.pred.scalar_type()), {},
                                              pos_weight, TorchReduction(v1::REDUCTION_NONE));
}

class WeightedBceLoss : public PointwiseLoss {
 public:
  explicit WeightedBceLoss(const v1::WeightedBCEWithLogitsLossOptions& options)
      : pos_weight_(options.has_pos_weight() ? options.pos_weight() : 1),
        reduction_(options.reduction()) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    return FirstError(
        {CheckPredTarget(inputs), CheckPositive("pos_weight", inputs.pos_weight.value_or(1))});
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const at::Tensor pos_weight = at::full({}, PosWeight(inputs), inputs.pred.options());
    return ReduceWeighted(BceMap(inputs, pos_weight), inputs.weight, reduction_);
  }

  std::optional<FusedPointwise> Fused(const LossInputs& inputs) const override {
    return FusedPointwise{
        .kernel = &BceBlock, .reduction = reduction_, .pos_weight = PosWeight(inputs)};
  }

 private:
  double PosWeight(const LossInputs& inputs) const {
    return inputs.pos_weight.value_or(pos_weight_);
  }

  const double pos_weight_;
  const v1::Reduction reduction_;
};

class PerChannelBceLoss : public PointwiseLoss {
 public:
  explicit PerChannelBceLoss(const v1::PerChannelBCEWithLogitsLossOptions& options)
      : reduction_(options.reduction()) {
    if (options.auto_pos_weight()) max_pos_weight_ = options.max_pos_weight();
  }

 protected:
  absl::Status Check(const LossInputs& inputs) const override { return CheckPredTarget(inputs); }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    std::optional<at::Tensor> pos_weight;
    if (max_pos_weight_.has_value()) {
      pos_weight = BalancingPosWeight(inputs.target, inputs.weight, *max_pos_weight_,
                                      inputs.pred.scalar_type());
    }
    return ReduceWeightedPerChannel(BceMap(inputs, pos_weight), inputs.weight, reduction_);
  }

  std::optional<FusedPointwise> Fused(const LossInputs& /*inputs*/) const override {
    return FusedPointwise{.kernel = &BceBlock,
                          .reduction = reduction_,
                          .per_channel = true,
                          .max_pos_weight = max_pos_weight_};
  }

 private:
  std::optional<double> max_pos_weight_;  // None: positives are not weighted.
  const v1::Reduction reduction_;
};

}  // namespace

at::Tensor BalancingPosWeight(const at::Tensor& target, const at::Tensor& weight, double max,
                              at::ScalarType type) {
  std::vector<int64_t> not_channels = {0};
  for (int64_t d = 2; d < target.dim(); ++d) not_channels.push_back(d);
  at::Tensor positive = target.gt(0);
  at::Tensor negative = target.le(0);
  if (weight.defined()) {
    const at::Tensor valid = weight.gt(0);
    positive.logical_and_(valid);
    negative.logical_and_(valid);
  }
  const at::Tensor positives = positive.sum(not_channels, /*keepdim=*/true);
  const at::Tensor ratio =
      negative.sum(not_channels, /*keepdim=*/true).to(type).div_(positives).clamp_max_(max);
  return at::where(positives.gt(0), ratio, at::ones({}, ratio.options()));
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateBCEWithLogitsLoss(
    const v1::LossOptions& options) {
  const auto& own = options.bce_with_logits();
  if (absl::Status status =
          FirstError({CheckReduction(own.reduction()), CheckFiniteList("weight", own.weight()),
                      CheckFiniteList("pos_weight", own.pos_weight())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<BceLoss>(own);
}

std::unique_ptr<const Loss> MakeBceLoss(const google::protobuf::RepeatedField<double>& pos_weight,
                                        v1::Reduction reduction) {
  v1::BCEWithLogitsLossOptions options;
  *options.mutable_pos_weight() = pos_weight;
  options.set_reduction(reduction);
  return std::make_unique<BceLoss>(std::move(options));
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateWeightedBCEWithLogitsLoss(
    const v1::LossOptions& options) {
  const auto& own = options.weighted_bce_with_logits();
  const double pos_weight = own.has_pos_weight() ? own.pos_weight() : 1;
  if (absl::Status status =
          FirstError({CheckReduction(own.reduction()), CheckFinite("pos_weight", pos_weight),
                      CheckPositive("pos_weight", pos_weight)});
      !status.ok()) {
    return status;
  }
  return std::make_unique<WeightedBceLoss>(own);
}

absl::StatusOr<std::unique_ptr<const Loss>> CreatePerChannelBCEWithLogitsLoss(
    const v1::LossOptions& options) {
  const auto& own = options.per_channel_bce_with_logits();
  if (absl::Status status = FirstError(
          {CheckReduction(own.reduction()), CheckPositive("max_pos_weight", own.max_pos_weight())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<PerChannelBceLoss>(own);
}

}  // namespace lossd
