#include "lossd/losses/pointwise/bce_with_logits.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/reduction.h"
#include "lossd/sweep/fused_pointwise.h"

namespace lossd {
namespace {

// A list option as PyTorch would have it, a tensor that broadcasts; none when empty.
std::optional<at::Tensor> ListTensor(const std::vector<double>& values, const at::Tensor& like) {
  if (values.empty()) return std::nullopt;
  return at::tensor(values, like.options());
}

absl::Status CheckListBroadcasts(absl::string_view field, const std::vector<double>& values,
                                 const at::Tensor& pred) {
  const auto size = static_cast<int64_t>(values.size());
  if (size <= 1 || size == pred.size(-1)) return absl::OkStatus();
  return FieldError(field, absl::StrCat(size, " values"),
                    absl::StrCat("1, or one for each of the ", pred.size(-1),
                                 " positions along the last dimension"));
}

class BCEWithLogitsLoss : public PointwiseLoss {
 public:
  explicit BCEWithLogitsLoss(BCEWithLogits options) : options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPredTarget(inputs); !status.ok()) return status;
    return FirstError({CheckListBroadcasts("kwargs.weight", options_.weight, inputs.pred),
                       CheckListBroadcasts("kwargs.pos_weight", options_.pos_weight, inputs.pred)});
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    return at::binary_cross_entropy_with_logits(
        inputs.pred, inputs.target.to(inputs.pred.scalar_type()),
        ListTensor(options_.weight, inputs.pred), ListTensor(options_.pos_weight, inputs.pred),
        TorchReduction(ReductionOf(options_)));
  }

  std::optional<FusedPointwise> Fused(const LossInputs& /*inputs*/) const override {
    if (!options_.weight.empty() || options_.pos_weight.size() > 1) return std::nullopt;
    return FusedPointwise{
        .element = &BinaryCrossEntropyOf,
        .reduction = ReductionOf(options_),
        .weighted = false,
        .pos_weight = options_.pos_weight.empty() ? 1 : options_.pos_weight.front()};
  }

 private:
  const BCEWithLogits options_;
};

}  // namespace

std::unique_ptr<const Loss> BCEWithLogits::Make() const {
  return std::make_unique<BCEWithLogitsLoss>(*this);
}

}  // namespace lossd
