#include "lossd/losses/overlap/overlap_loss.h"

#include <ATen/core/grad_mode.h>
#include <torch/autograd.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "lossd/device/sweeps.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/overlap/softmax_overlap.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/gpu_gradient_writer.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_blocks.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

using Scratch = std::array<float, kBlockSize>;

// Σ p·target, Σ p and Σ target of each sample and channel: float64 [B, C, 3].
at::Tensor SumChannels(const Blocks& blocks, const InputReader& reader, bool sigmoid,
                       const Context& context) {
  const auto sums = Sweep<3>(blocks, context, [&](const BlockRange& range) {
    Scratch pred_scratch;
    Scratch target_scratch;
    const OverlapSums block =
        OverlapBlock(reader.Pred(range, pred_scratch.data()),
                     reader.Target(range, target_scratch.data()), sigmoid, range.size);
    return std::array<double, 3>{block.common, block.pred, block.target};
  });
  at::Tensor result =
      at::empty({blocks.groups() / blocks.channels(), blocks.channels(), 3}, at::kDouble);
  std::copy_n(sums.front().data(), result.numel(), result.mutable_data_ptr<double>());
  return result;
}

// Writes the gradient (factors[0]·target + factors[1]) × d p / d pred, factors [B, C, 2].
void WriteOverlapGradient(const Blocks& blocks, const InputReader& reader, bool sigmoid,
                          const at::Tensor& factors, const Context& context,
                          GradientWriter& writer) {
  const auto factor = factors.accessor<double, 3>();
  Sweep<0>(blocks, context, [&](const BlockRange& range) {
    Scratch pred_scratch;
    Scratch target_scratch;
    Scratch gradient_scratch;
    const auto of_channel = factor[range.sample][range.channel];
    float* const block = writer.Block(range, gradient_scratch.data());
    OverlapGradientBlock(
        reader.Pred(range, pred_scratch.data()), reader.Target(range, target_scratch.data()),
        sigmoid, writer.Scale(of_channel[0]), writer.Scale(of_channel[1]), range.size, block);
    reader.FinishGradient(range, block);
    writer.Put(range, block);
    return std::array<double, 0>{};
  });
}

// The channels from `first` on of what a gradient is written to.
GradientInto FromChannel(const GradientInto& gradient, int64_t first) {
  GradientInto rest = gradient;
  rest.into = gradient.into.narrow(1, first, gradient.into.size(1) - first);
  return rest;
}

}  // namespace

int64_t OverlapLoss::ScratchBytes(const LossShape& shape) const {
  // One-hot classes are made of indices in advance, but for a softmax.
  const int64_t one_hot = shape.elements() * static_cast<int64_t>(2 * sizeof(float));
  return AutogradLoss::ScratchBytes(shape) +
         (class_options_.to_onehot_y ? ClassIndexBytes(shape) + one_hot : 0);
}

absl::Status OverlapLoss::Check(const LossInputs& inputs) const {
  return CheckClassChannels(inputs, class_options_.to_onehot_y);
}

absl::StatusOr<at::Tensor> OverlapLoss::Forward(const LossInputs& inputs) const {
  const absl::StatusOr<ClassChannels> channels = PrepareClassChannels(inputs, class_options_);
  if (!channels.ok()) return channels.status();
  return OfOverlap(ComputeOverlap(channels->pred, channels->target, overlap_options_),
                   inputs.pred.dim() - 2);
}

bool OverlapLoss::IsMadeOfPlainSums() const {
  return !overlap_options_.squared_pred && !overlap_options_.soft_label;
}

std::optional<absl::StatusOr<LossResult>> OverlapLoss::ComputeFused(const LossInputs& inputs,
                                                                    const Context& context) const {
  if (!IsMadeOfPlainSums()) return ComputeInBlocks(inputs, context);
  return HasSoftmax(inputs) ? ComputeInSoftmaxSweeps(inputs, context)
                            : ComputeInSweeps(inputs, context);
}

OverlapLoss::ValueAndFactors OverlapLoss::OfCounts(const at::Tensor& counts, bool want_factors,
                                                   int64_t spatial_dims) const {
  const c10::InferenceMode no_inference_mode(false);
  const c10::AutoGradMode grad_mode(want_factors);
  at::Tensor each = counts.detach();
  each.requires_grad_(want_factors);
  const at::Tensor counted = overlap_options_.batch ? each.sum(0) : each;
  const at::Tensor value = OfOverlap({.true_positives = counted.select(-1, 0),
                                      .false_positives = counted.select(-1, 1),
                                      .false_negatives = counted.select(-1, 2),
                                      .target_sum = counted.detach().select(-1, 3)},
                                     spatial_dims);
  ValueAndFactors result = {.value = value.detach().to(at::kFloat)};
  if (want_factors) result.factors = torch::autograd::grad({value.sum()}, {each})[0].contiguous();
  return result;
}

absl::StatusOr<LossResult> OverlapLoss::ComputeInBlocks(const LossInputs& inputs,
                                                        const Context& context) const {
  const int64_t samples = inputs.pred.size(0);
  const OverlapOptions of_samples = {.squared_pred = overlap_options_.squared_pred,
                                     .soft_label = overlap_options_.soft_label};
  // [1, C, 4], of one block.
  const auto count = [&](const LossInputs& part) -> absl::StatusOr<at::Tensor> {
    const absl::StatusOr<ClassChannels> channels = PrepareClassChannels(part, class_options_);
    if (!channels.ok()) return channels.status();
    const Overlap overlap = ComputeOverlap(channels->pred, channels->target, of_samples);
    return at::stack({overlap.true_positives, overlap.false_positives, overlap.false_negatives,
                      overlap.target_sum},
                     -1);
  };

  LossInputs without_gradient = inputs;
  without_gradient.gradient = {};
  const InputBlocks counted_blocks(without_gradient, BlockShape::kVoxels);
  std::vector<at::Tensor> partial(counted_blocks.count());
  absl::Status status =
      counted_blocks.ForEach(context, [&](int64_t block, const LossInputs& part) -> absl::Status {
        const absl::StatusOr<at::Tensor> counts = count(part);
        if (counts.ok()) partial[block] = counts->to(at::kDouble);
        return counts.status();
      });
  if (!status.ok()) return status;
  std::vector<at::Tensor> totals(samples);
  for (int64_t block = 0; block < counted_blocks.count(); ++block) {
    at::Tensor& total = totals[counted_blocks.Sample(block)];
    total = total.defined() ? total.add_(partial[block]) : partial[block];
  }
  const ValueAndFactors of_counts =
      OfCounts(at::cat(totals), inputs.gradient.wanted(), inputs.pred.dim() - 2);

  LossResult result = {.value = of_counts.value};
  if (!inputs.gradient.wanted()) return result;
  const at::Tensor factors = (of_counts.factors * inputs.gradient.factor).to(at::kFloat);
  const InputBlocks blocks(inputs, BlockShape::kVoxels);
  GradientWriter writer(inputs.gradient);
  status = blocks.ForEach(context, [&](int64_t block, const LossInputs& part) -> absl::Status {
    const absl::StatusOr<at::Tensor> counts = count(part);
    if (!counts.ok()) return counts.status();
    const at::Tensor of_sample = factors.narrow(0, blocks.Sample(block), 1);
    writer.PutPart(blocks.PartOf(inputs.gradient.into, block),
                   Differentiate(*counts, of_sample, part).pred);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  result.finite = writer.finite();
  return result;
}

OverlapLoss::ValueAndFactors OverlapLoss::OfSums(const at::Tensor& sums, bool want_factors,
                                                 int64_t spatial_dims) const {
  const at::Tensor common = sums.select(-1, 0);
  const at::Tensor target = sums.select(-1, 2);
  ValueAndFactors result =
      OfCounts(at::stack({common, sums.select(-1, 1) - common, target - common, target}, -1),
               want_factors, spatial_dims);
  if (!want_factors) return result;
  // With p·t in all three counts and p in the false positives.
  const at::Tensor of_false_positives = result.factors.select(-1, 1);
  const at::Tensor of_common =
      result.factors.select(-1, 0) - of_false_positives - result.factors.select(-1, 2);
  result.factors = at::stack({of_common, of_false_positives}, -1);
  return result;
}

absl::StatusOr<LossResult> OverlapLoss::ComputeInSoftmaxSweeps(const LossInputs& inputs,
                                                               const Context& context) const {
  const int64_t channels = inputs.pred.size(1);
  const int64_t counted = CountedChannels(channels, class_options_.include_background);
  at::Tensor target = inputs.target;
  if (class_options_.to_onehot_y) {
    const at::Tensor indices = ClassIndices(inputs.target, inputs.pred, context);
    if (absl::Status status = CheckClassIndices(indices, channels, std::nullopt, context);
        !status.ok()) {
      return status;
    }
    target = indices.unsqueeze(1);
  }
  const SoftmaxOverlap overlap(inputs.pred, inputs.clamp, target, class_options_.to_onehot_y);
  const ValueAndFactors of_sums =
      OfSums(overlap.Sum(context).narrow(1, channels - counted, counted), inputs.gradient.wanted(),
             inputs.pred.dim() - 2);
  LossResult result = {.value = of_sums.value};
  if (!inputs.gradient.wanted()) return result;
  // Through the softmax the loss depends on the background's logits, too.
  const at::Tensor factors = at::zeros({inputs.pred.size(0), channels, 2}, at::kDouble);
  factors.narrow(1, channels - counted, counted).copy_(of_sums.factors);
  result.finite = overlap.WriteGradient(factors, context, inputs.gradient);
  return result;
}

std::optional<absl::StatusOr<LossResult>> OverlapLoss::ComputeOnGpu(const LossInputs& inputs,
                                                                    const Context& context) const {
  if (!IsMadeOfPlainSums() || HasSoftmax(inputs) || class_options_.to_onehot_y) return std::nullopt;
  const absl::StatusOr<ClassChannels> channels =
      PrepareClassChannels(inputs, {.include_background = class_options_.include_background});
  if (!channels.ok()) return channels.status();
  const at::Tensor pred = WidenAndClamp(channels->pred, inputs.clamp);
  const at::Tensor target = channels->target.expand(pred.sizes());
  const bool sigmoid = class_options_.sigmoid;
  const ValueAndFactors of_sums = OfSums(SumOverlapsOnGpu(pred, target, sigmoid),
                                         inputs.gradient.wanted(), inputs.pred.dim() - 2);
  LossResult result = {.value = of_sums.value};
  if (!inputs.gradient.wanted()) return result;
  const int64_t background = inputs.pred.size(1) - pred.size(1);
  GradientWriter(inputs.gradient).PutZeros(inputs.gradient.into.narrow(1, 0, background), context);
  GpuGradientWriter writer(FromChannel(inputs.gradient, background));
  const at::Tensor factors = of_sums.factors * inputs.gradient.factor;
  result.finite =
      writer.Finish(PutOverlapGradientOnGpu(pred, target, sigmoid, factors, writer.place()));
  return result;
}

absl::StatusOr<LossResult> OverlapLoss::ComputeInSweeps(const LossInputs& inputs,
                                                        const Context& context) const {
  LossInputs counted = inputs;
  if (class_options_.to_onehot_y && inputs.pred.size(1) > 1) {
    absl::StatusOr<at::Tensor> target = OneHotTarget(inputs, context);
    if (!target.ok()) return target.status();
    counted.target = *std::move(target);
  }
  // The sigmoid is left to the sweeps.
  const absl::StatusOr<ClassChannels> channels =
      PrepareClassChannels(counted, {.include_background = class_options_.include_background});
  if (!channels.ok()) return channels.status();
  const Blocks blocks(channels->pred.sizes());
  counted.pred = channels->pred;
  counted.target = channels->target;
  counted.weight.reset();
  if (inputs.known.defined() && inputs.known.size(1) > blocks.channels()) {
    counted.known =
        inputs.known.narrow(1, inputs.known.size(1) - blocks.channels(), blocks.channels());
  }
  const InputReader reader(counted);
  const bool sigmoid = class_options_.sigmoid;

  const at::Tensor sums = SumChannels(blocks, reader, sigmoid, context);
  const ValueAndFactors of_sums = OfSums(sums, inputs.gradient.wanted(), inputs.pred.dim() - 2);
  LossResult result = {.value = of_sums.value};
  if (!inputs.gradient.wanted()) return result;
  const int64_t background = inputs.pred.size(1) - blocks.channels();
  GradientWriter writer(FromChannel(inputs.gradient, background));
  writer.PutZeros(inputs.gradient.into.narrow(1, 0, background), context);
  WriteOverlapGradient(blocks, reader, sigmoid, of_sums.factors, context, writer);
  result.finite = writer.finite();
  return result;
}

}  // namespace lossd
