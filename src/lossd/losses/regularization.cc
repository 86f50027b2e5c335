#include "lossd/losses/regularization.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/map_loss.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

class BinaryRegularization : public MapLoss {
 public:
  explicit BinaryRegularization(const v1::BinaryRegularizationOptions& options)
      : min_threshold_(options.min_threshold()), apply_sigmoid_(options.apply_sigmoid()) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    return CheckBroadcastable("weight", inputs.weight, inputs.pred);
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    const at::Tensor probability = apply_sigmoid_ ? inputs.pred.sigmoid() : inputs.pred;
    const at::Tensor map = (probability - 0.5).abs().clamp_min(min_threshold_).reciprocal();
    return TimesMask(map, inputs.weight);
  }

 private:
  const double min_threshold_;
  const bool apply_sigmoid_;
};

class NonOverlapRegularization : public MapLoss {
 public:
  explicit NonOverlapRegularization(const v1::NonOverlapRegularizationOptions& options)
      : cleft_masked_(options.cleft_masked()) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    if (inputs.pred.size(1) >= 2) return absl::OkStatus();
    return FieldError("pred", "1 channel", "at least 2");
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    at::Tensor map = inputs.pred.select(1, 0).sigmoid() * inputs.pred.select(1, 1).sigmoid();
    if (cleft_masked_ && inputs.pred.size(1) >= 3) {
      // Constant, or the overlap could be lowered by predicting no cleft.
      map = map * inputs.pred.detach().select(1, 2).sigmoid();
    }
    return map;
  }

  double Factor(const LossInputs& inputs) const override {
    // The map has one channel.
    return MapLoss::Factor(inputs) * static_cast<double>(inputs.pred.size(1));
  }

 private:
  const bool cleft_masked_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateBinaryRegularization(
    const v1::LossOptions& options) {
  const auto& own = options.binary_regularization();
  if (absl::Status status = FirstError({CheckPositive("min_threshold", own.min_threshold()),
                                        CheckFinite("min_threshold", own.min_threshold())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<BinaryRegularization>(own);
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateNonOverlapRegularization(
    const v1::LossOptions& options) {
  return std::make_unique<NonOverlapRegularization>(options.non_overlap_regularization());
}

}  // namespace lossd
