#include "lossd/losses/cross_entropy.h"

#include <torch/types.h>

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/block_reader.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/large_tensor.h"
#include "lossd/losses/map_loss.h"
#include "lossd/losses/reduction.h"
#include "lossd/losses/softmax_kernels.h"
#include "lossd/losses/sweep.h"

namespace lossd {
namespace {

absl::Status CheckInputs(const CrossEntropyOptions& options, const LossInputs& inputs) {
  if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
  const auto classes = static_cast<size_t>(inputs.pred.size(1));
  if (!options.weight.empty() && options.weight.size() != classes) {
    return FieldError("kwargs.weight", absl::StrCat(options.weight.size(), " values"),
                      absl::StrCat("one for each of the ", classes, " classes"));
  }
  return options.probabilities ? CheckLikePrediction("target", inputs.target, inputs.pred)
                               : CheckClassTarget(inputs.target, inputs.pred);
}

absl::Status CheckIndices(const CrossEntropyOptions& options, const LossInputs& inputs) {
  return CheckClassIndices(ClassIndices(inputs.target, inputs.pred), inputs.pred.size(1),
                           options.ignore_index);
}

// [B, …].
absl::StatusOr<at::Tensor> EntropyMap(const CrossEntropyOptions& options,
                                      const LossInputs& inputs) {
  at::Tensor target;
  if (options.probabilities) {
    target = inputs.target.to(inputs.pred.scalar_type());
  } else {
    if (absl::Status status = CheckIndices(options, inputs); !status.ok()) return status;
    target = ClassIndices(inputs.target, inputs.pred);
  }
  std::optional<at::Tensor> weight;
  if (!options.weight.empty()) weight = at::tensor(options.weight, inputs.pred.options());
  return at::cross_entropy_loss(inputs.pred, target, weight, TorchReduction(v1::REDUCTION_NONE),
                                options.ignore_index, options.label_smoothing);
}

// On the sum over the map. A mean is over voxels; of class indices, over the weights of the voxels'
// classes.
double FactorOf(const CrossEntropyOptions& options, const LossInputs& inputs) {
  if (options.reduction != v1::REDUCTION_MEAN) return 1;
  const int64_t all_voxels = inputs.pred.numel() / inputs.pred.size(1);
  const auto voxels = static_cast<double>(all_voxels);
  if (options.probabilities) return 1 / voxels;
  const at::Tensor indices = ClassIndices(inputs.target, inputs.pred);
  const auto count = [&](int64_t index) {
    return static_cast<double>(at::count_nonzero(indices.eq(index)).item<int64_t>());
  };
  if (options.weight.empty()) return 1 / (voxels - count(options.ignore_index));
  double sum = 0;
  for (size_t c = 0; c < options.weight.size(); ++c) {
    const auto index = static_cast<int64_t>(c);
    if (index != options.ignore_index) sum += options.weight[c] * count(index);
  }
  return 1 / sum;
}

// Of probabilities, or of indices with label smoothing.
class CrossEntropyMapLoss : public MapLoss {
 public:
  explicit CrossEntropyMapLoss(CrossEntropyOptions options)
      : MapLoss(options.reduction), options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    return CheckInputs(options_, inputs);
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    return EntropyMap(options_, inputs);
  }

  double Factor(const LossInputs& inputs) const override { return FactorOf(options_, inputs); }

 private:
  const CrossEntropyOptions options_;
};

// Of class indices.
class CrossEntropyLoss : public AutogradLoss {
 public:
  explicit CrossEntropyLoss(CrossEntropyOptions options) : options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    return CheckInputs(options_, inputs);
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const absl::StatusOr<at::Tensor> map = EntropyMap(options_, inputs);
    if (!map.ok() || options_.reduction == v1::REDUCTION_NONE) return map;
    return map->sum() * FactorOf(options_, inputs);
  }

  std::optional<absl::StatusOr<ValueAndGradient>> ComputeFused(
      const LossInputs& inputs, const Context& context) const override {
    const int64_t samples = inputs.pred.size(0);
    const int64_t classes = inputs.pred.size(1);
    // Indices are compared as floats.
    if (options_.reduction == v1::REDUCTION_NONE || classes > (1 << 24)) return std::nullopt;
    if (absl::Status status = CheckIndices(options_, inputs); !status.ok()) return status;
    const double factor = FactorOf(options_, inputs);
    std::vector<float> weight(options_.weight.begin(), options_.weight.end());
    if (weight.empty()) weight.assign(classes, 1.0F);
    const at::Tensor indices = ClassIndices(inputs.target, inputs.pred).unsqueeze(1);
    const BlockReader pred(inputs.pred, inputs.pred.sizes(), inputs.clamp);
    const BlockReader target(indices, indices.sizes());
    // Of one channel: a block is one of voxels.
    const Blocks blocks(indices.sizes());
    ValueAndGradient result;
    float* gradient = nullptr;
    if (inputs.want_gradient) {
      result.gradient = EmptyFloats(inputs.pred.sizes());
      gradient = result.gradient.mutable_data_ptr<float>();
    }
    const auto sums = Sweep<1>(blocks, context, [&](const BlockRange& range) {
      // No more than the block needs: there may be more classes than voxels.
      std::vector<float> scratch((classes + 5) * range.size);
      std::vector<const float*> logits(classes);
      std::vector<float*> gradients(classes);
      for (int64_t c = 0; c < classes; ++c) {
        BlockRange of_class = range;
        of_class.channel = c;
        logits[c] = pred.Read(of_class, scratch.data() + (c + 5) * range.size);
        if (gradient == nullptr) continue;
        gradients[c] = gradient + (range.sample * classes + c) * blocks.voxels() + range.begin;
      }
      return std::array<double, 1>{
          CrossEntropyBlock({.logits = logits.data(),
                             .target = target.Read(range, scratch.data() + 4 * range.size),
                             .class_weight = weight.data(),
                             .classes = classes,
                             .size = range.size,
                             .ignored = static_cast<float>(options_.ignore_index),
                             .gradient_scale = static_cast<float>(factor),
                             .gradient = gradient == nullptr ? nullptr : gradients.data(),
                             .scratch = scratch.data()})};
    });
    double sum = 0;
    for (int64_t b = 0; b < samples; ++b) sum += sums[b][0];
    result.value = at::scalar_tensor(sum * factor, at::kFloat);
    return result;
  }

 private:
  const CrossEntropyOptions options_;
};

}  // namespace

std::unique_ptr<const Loss> MakeCrossEntropyLoss(CrossEntropyOptions options) {
  if (options.probabilities || options.label_smoothing > 0) {
    return std::make_unique<CrossEntropyMapLoss>(std::move(options));
  }
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
