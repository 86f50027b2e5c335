#include "lossd/losses/pointwise/cross_entropy.h"

#include <ATen/ATen.h>

#include <array>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/pointwise/map_loss.h"
#include "lossd/losses/reduction.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/class_channels.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/slabs.h"
#include "lossd/sweep/softmax_kernels.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

struct EntropyOptions : CrossEntropy {
  // Whether targets are the probabilities of the classes, [B, C, …].
  bool probabilities = false;
};

absl::Status CheckInputs(const EntropyOptions& options, const LossInputs& inputs) {
  if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
  const auto classes = static_cast<size_t>(inputs.pred.size(1));
  if (!options.weight.empty() && options.weight.size() != classes) {
    return FieldError("kwargs.weight", absl::StrCat(options.weight.size(), " values"),
                      absl::StrCat("one for each of the ", classes, " classes"));
  }
  return options.probabilities ? CheckLikePrediction("target", inputs.target, inputs.pred)
                               : CheckClassTarget(inputs.target, inputs.pred);
}

// [B, …].
absl::StatusOr<at::Tensor> EntropyMap(const EntropyOptions& options, const LossInputs& inputs) {
  at::Tensor target;
  if (options.probabilities) {
    target = inputs.target.to(inputs.pred.scalar_type());
  } else {
    target = ClassIndices(inputs.target, inputs.pred);
    absl::Status status = CheckClassIndices(target, inputs.pred.size(1), options.ignore_index);
    if (!status.ok()) return status;
  }
  std::optional<at::Tensor> weight;
  if (!options.weight.empty()) weight = at::tensor(options.weight, inputs.pred.options());
  return at::cross_entropy_loss(inputs.pred, target, weight, TorchReduction(Reduction::kNone),
                                options.ignore_index, options.label_smoothing);
}

// The sum of the weights of all voxels' classes, from indices [B, …].
double SumOfWeights(const EntropyOptions& options, const at::Tensor& indices,
                    const Context& context) {
  const at::Tensor with_channel = indices.unsqueeze(1);
  std::vector<int64_t> counts(options.weight.size());
  int64_t counting = 0;
  std::mutex mutex;
  ForEachSlab(with_channel.sizes(), context, [&](const Slab& slab) {
    const at::Tensor part = slab.Of(with_channel);
    const auto count = [&](int64_t index) {
      return at::count_nonzero(part.eq(index)).item<int64_t>();
    };
    std::vector<int64_t> of_part(counts.size());
    for (size_t c = 0; c < counts.size(); ++c) of_part[c] = count(static_cast<int64_t>(c));
    const int64_t ignored = counts.empty() ? count(options.ignore_index) : 0;
    const std::scoped_lock lock(mutex);
    counting += part.numel() - ignored;
    for (size_t c = 0; c < counts.size(); ++c) counts[c] += of_part[c];
    return absl::OkStatus();
  }).IgnoreError();
  if (counts.empty()) return static_cast<double>(counting);
  double sum = 0;
  for (size_t c = 0; c < counts.size(); ++c) {
    const bool counts_for_nothing = static_cast<int64_t>(c) == options.ignore_index;
    if (!counts_for_nothing) sum += options.weight[c] * static_cast<double>(counts[c]);
  }
  return sum;
}

// On the sum over the map. A mean is over voxels; of class indices, over the weights of the voxels'
// classes. `indices` [B, …] are those of the target, undefined for probabilities.
double FactorOf(const EntropyOptions& options, const LossInputs& inputs, const at::Tensor& indices,
                const Context& context) {
  if (options.reduction != Reduction::kMean) return 1;
  if (indices.defined()) return 1 / SumOfWeights(options, indices, context);
  const int64_t voxels = inputs.pred.numel() / inputs.pred.size(1);
  return 1 / static_cast<double>(voxels);
}

// Of probabilities, or of indices with label smoothing.
class CrossEntropyMapLoss : public MapLoss {
 public:
  explicit CrossEntropyMapLoss(EntropyOptions options)
      : MapLoss(options.reduction), options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    return CheckInputs(options_, inputs);
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    return EntropyMap(options_, inputs);
  }

  double Factor(const LossInputs& inputs, const Context& context) const override {
    return FactorOf(options_, inputs, IndicesOf(inputs, context), context);
  }

  int64_t ScratchBytes(const LossShape& shape) const override {
    return MapLoss::ScratchBytes(shape) + ClassIndexBytes(shape);
  }

 private:
  at::Tensor IndicesOf(const LossInputs& inputs, const Context& context) const {
    return options_.probabilities ? at::Tensor()
                                  : ClassIndices(inputs.target, inputs.pred, context);
  }

  const EntropyOptions options_;
};

// Of class indices.
class CrossEntropyLoss : public AutogradLoss {
 public:
  explicit CrossEntropyLoss(EntropyOptions options) : options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    return CheckInputs(options_, inputs);
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const absl::StatusOr<at::Tensor> map = EntropyMap(options_, inputs);
    if (!map.ok() || options_.reduction == Reduction::kNone) return map;
    TaskPool alone(1);
    return map->sum() * FactorOf(options_, inputs, ClassIndices(inputs.target, inputs.pred), alone);
  }

  int64_t ScratchBytes(const LossShape& shape) const override {
    return AutogradLoss::ScratchBytes(shape) + ClassIndexBytes(shape);
  }

  std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& inputs,
                                                         const Context& context) const override {
    const int64_t samples = inputs.pred.size(0);
    const int64_t classes = inputs.pred.size(1);
    // Indices are compared as floats.
    if (options_.reduction == Reduction::kNone || classes > (1 << 24)) return std::nullopt;
    const at::Tensor indices = ClassIndices(inputs.target, inputs.pred, context);
    if (absl::Status status = CheckClassIndices(indices, classes, options_.ignore_index, context);
        !status.ok()) {
      return status;
    }
    const double factor = FactorOf(options_, inputs, indices, context);
    std::vector<float> weight(options_.weight.begin(), options_.weight.end());
    if (weight.empty()) weight.assign(classes, 1.0F);
    const at::Tensor of_one_channel = indices.unsqueeze(1);
    const BlockReader pred(inputs.pred, inputs.pred.sizes(), inputs.clamp);
    const BlockReader target(of_one_channel, of_one_channel.sizes());
    // Of one channel: a block is one of voxels.
    const Blocks blocks(of_one_channel.sizes());
    GradientWriter writer(inputs.gradient);
    const auto sums = Sweep<1>(blocks, context, [&](const BlockRange& range) {
      // No more than the block needs: there may be more classes than voxels.
      std::vector<float> scratch((2 * classes + 5) * range.size);
      std::vector<const float*> logits(classes);
      std::vector<float*> gradients(classes);
      for (int64_t c = 0; c < classes; ++c) {
        BlockRange of_class = range;
        of_class.channel = c;
        logits[c] = pred.Read(of_class, scratch.data() + (c + 5) * range.size);
        gradients[c] = writer.Block(of_class, scratch.data() + (classes + c + 5) * range.size);
      }
      const double sum =
          CrossEntropyBlock({.logits = logits.data(),
                             .target = target.Read(range, scratch.data() + 4 * range.size),
                             .class_weight = weight.data(),
                             .classes = classes,
                             .size = range.size,
                             .ignored = static_cast<float>(options_.ignore_index),
                             .gradient_scale = writer.Scale(factor),
                             .gradient = writer.wanted() ? gradients.data() : nullptr,
                             .scratch = scratch.data()});
      for (int64_t c = 0; c < classes; ++c) {
        BlockRange of_class = range;
        of_class.channel = c;
        writer.Put(of_class, gradients[c]);
      }
      return std::array<double, 1>{sum};
    });
    double sum = 0;
    for (int64_t b = 0; b < samples; ++b) sum += sums[b][0];
    return LossResult{.value = at::scalar_tensor(sum * factor, at::kFloat),
                      .finite = writer.finite()};
  }

 private:
  const EntropyOptions options_;
};

}  // namespace

std::unique_ptr<const Loss> MakeCrossEntropy(const CrossEntropy& options, bool of_probabilities) {
  const EntropyOptions of = {options, of_probabilities};
  if (of_probabilities || options.label_smoothing > 0) {
    return std::make_unique<CrossEntropyMapLoss>(of);
  }
  return std::make_unique<CrossEntropyLoss>(of);
}

std::unique_ptr<const Loss> CrossEntropy::Make() const {
  return MakeCrossEntropy(*this, /*of_probabilities=*/false);
}

}  // namespace lossd
