#include "lossd/losses/cross_entropy.h"

#include <torch/types.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/map_loss.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

class CrossEntropyLoss : public MapLoss {
 public:
  explicit CrossEntropyLoss(CrossEntropyOptions options)
      : MapLoss(options.reduction), options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    const auto classes = static_cast<size_t>(inputs.pred.size(1));
    if (!options_.weight.empty() && options_.weight.size() != classes) {
      return FieldError("kwargs.weight", absl::StrCat(options_.weight.size(), " values"),
                        absl::StrCat("one for each of the ", classes, " classes"));
    }
    return options_.probabilities ? CheckLikePrediction("target", inputs.target, inputs.pred)
                                  : CheckClassTarget(inputs.target, inputs.pred);
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    at::Tensor target;
    if (options_.probabilities) {
      target = inputs.target.to(inputs.pred.scalar_type());
    } else {
      target = ClassIndices(inputs.target, inputs.pred);
      absl::Status status = CheckClassIndices(target, inputs.pred.size(1), options_.ignore_index);
      if (!status.ok()) return status;
    }
    std::optional<at::Tensor> weight;
    if (!options_.weight.empty()) weight = at::tensor(options_.weight, inputs.pred.options());
    return at::cross_entropy_loss(inputs.pred, target, weight, TorchReduction(v1::REDUCTION_NONE),
                                  options_.ignore_index, options_.label_smoothing);
  }

  // A mean is over voxels; of class indices, over the weights of the voxels' classes.
  double Factor(const LossInputs& inputs) const override {
    if (reduction() != v1::REDUCTION_MEAN) return 1;
    const auto voxels = static_cast<double>(inputs.pred.numel() / inputs.pred.size(1));
    if (options_.probabilities) return 1 / voxels;
    const auto count = [&](int64_t index) {
      return static_cast<double>(
          ClassIndices(inputs.target, inputs.pred).eq(index).sum().item<int64_t>());
    };
    if (options_.weight.empty()) return 1 / (voxels - count(options_.ignore_index));
    double sum = 0;
    for (size_t c = 0; c < options_.weight.size(); ++c) {
      const auto index = static_cast<int64_t>(c);
      if (index != options_.ignore_index) sum += options_.weight[c] * count(index);
    }
    return 1 / sum;
  }

 private:
  const CrossEntropyOptions options_;
};

}  // namespace

std::unique_ptr<const Loss> MakeCrossEntropyLoss(CrossEntropyOptions options) {
  return std::make_unique<CrossEntropyLoss>(std::move(options));
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateCrossEntropyLoss(const v1::LossOptions& options) {
  const auto& own = options.cross_entropy();
  if (absl::Status status =
          FirstError({CheckReduction(own.reduction()), CheckFiniteList("weight", own.weight()),
                      CheckFraction("label_smoothing", own.label_smoothing())});
      !status.ok()) {
    return status;
  }
  return MakeCrossEntropyLoss({.weight = {own.weight().begin(), own.weight().end()},
                               .ignore_index = own.ignore_index(),
                               .reduction = own.reduction(),
                               .label_smoothing = own.label_smoothing()});
}

}  // namespace lossd
