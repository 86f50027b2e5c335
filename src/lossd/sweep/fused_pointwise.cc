#include "lossd/sweep/fused_pointwise.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "lossd/device/sweeps.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/gpu_gradient_writer.h"

namespace lossd {
namespace {

using Scratch = std::array<float, kBlockSize>;

struct ChannelCounts {
  double valid = 0;
  double positives = 0;
  double negatives = 0;
};

// What there is in each channel; positives and negatives only when wanted.
std::vector<ChannelCounts> CountChannels(const Blocks& blocks, const InputReader& reader,
                                         bool want_classes, const Context& context) {
  const auto sums = Sweep<3>(blocks, context, [&](const BlockRange& range) {
    Scratch target_scratch;
    Scratch weight_scratch;
    const float* weight = reader.Weight(range, weight_scratch.data());
    const BlockCounts counts =
        want_classes ? CountBlock(reader.Target(range, target_scratch.data()), weight, range.size)
                     : BlockCounts{.valid = CountWeightsBlock(weight, range.size)};
    return std::array<double, 3>{static_cast<double>(counts.valid),
                                 static_cast<double>(counts.positives),
                                 static_cast<double>(counts.negatives)};
  });
  std::vector<ChannelCounts> channels(blocks.channels());
  for (int64_t group = 0; group < blocks.groups(); ++group) {
    ChannelCounts& channel = channels[group % blocks.channels()];
    channel.valid += sums[group][0];
    channel.positives += sums[group][1];
    channel.negatives += sums[group][2];
  }
  return channels;
}

// Where nothing has a weight, and classes do not matter.
std::vector<ChannelCounts> AllCount(const Blocks& blocks) {
  const int64_t samples = blocks.groups() / blocks.channels();
  return {static_cast<size_t>(blocks.channels()),
          {.valid = static_cast<double>(samples * blocks.voxels())}};
}

bool MustCount(const FusedPointwise& loss, bool weighted) {
  return (loss.reduction == Reduction::kMean && weighted) || loss.max_pos_weight.has_value();
}

std::vector<ChannelSum> SumsOf(const FusedPointwise& loss, const std::vector<ChannelCounts>& counts,
                               const GradientWriter& writer) {
  const bool mean = loss.reduction == Reduction::kMean;
  double all_valid = 0;
  for (const ChannelCounts& channel : counts) all_valid += channel.valid;
  std::vector<ChannelSum> sums;
  for (const ChannelCounts& channel : counts) {
    const double valid = loss.per_channel ? channel.valid : all_valid;
    double pos_weight = loss.pos_weight;
    if (loss.max_pos_weight.has_value() && channel.positives > 0) {
      pos_weight = std::min(channel.negatives / channel.positives, *loss.max_pos_weight);
    }
    // A sum counts whatever has a weight, a mean what has one above 0.
    const float floor = mean ? 0.0F : -std::numeric_limits<float>::infinity();
    const float scale = mean ? static_cast<float>(1 / std::max(valid, 1.0)) : 1.0F;
    sums.push_back({.element = loss.element(pos_weight),
                    .options = {.weight_floor = floor,
                                .gradient_scale = writer.Scale(scale),
                                .tanh = loss.tanh},
                    .scale = scale});
  }
  return sums;
}

// CountChannels, of [B, C, …] on a GPU.
std::vector<ChannelCounts> CountChannelsOnGpu(const Blocks& blocks, const at::Tensor& target,
                                              const at::Tensor& weight) {
  const auto count = [&](const at::Tensor& flags) {
    const at::Tensor counted = weight.defined() ? flags.logical_and(weight > 0) : flags;
    return counted.expand(target.sizes()).flatten(2).sum(at::IntArrayRef{0, 2});
  };
  std::vector<at::Tensor> rows = {count(target > 0), count(target <= 0)};
  if (weight.defined()) rows.push_back(count(weight > 0));
  const at::Tensor counts = at::stack(rows).to(at::kCPU, at::kDouble);
  const auto each = counts.accessor<double, 2>();
  std::vector<ChannelCounts> channels = AllCount(blocks);
  for (int64_t c = 0; c < blocks.channels(); ++c) {
    channels[c].positives = each[0][c];
    channels[c].negatives = each[1][c];
    if (weight.defined()) channels[c].valid = each[2][c];
  }
  return channels;
}

// SweepPointwise on a GPU.
LossResult SweepPointwiseOnGpu(const FusedPointwise& loss, const LossInputs& inputs) {
  const GpuSweepInputs sweep = PrepareGpuSweep(loss, inputs);
  const GpuGradientWriter writer(inputs.gradient);
  const GpuSums sums = SumPointwiseOnGpu(sweep.channels.front().element.loss(), sweep.OfChannels(),
                                         sweep.pred, sweep.target, sweep.weight, writer.place());
  return {.value = sweep.Value(sums.sums), .finite = writer.Finish(sums.finite)};
}

// Value and gradient in one sweep, after another one that counts where something must be counted.
// Allocates nothing of the prediction's size.
LossResult SweepPointwise(const FusedPointwise& loss, const LossInputs& inputs,
                          const Context& context) {
  const Blocks blocks(inputs.pred.sizes());
  const InputReader reader(inputs);
  GradientWriter writer(inputs.gradient);
  const std::vector<ChannelSum> channels = ChannelSums(loss, blocks, reader, writer, context);
  const auto sums = Sweep<1>(blocks, context, [&](const BlockRange& range) {
    Scratch pred;
    Scratch target;
    Scratch weight;
    Scratch gradient;
    const PointwiseBlock block = {.pred = reader.Pred(range, pred.data()),
                                  .target = reader.Target(range, target.data()),
                                  .weight = reader.Weight(range, weight.data()),
                                  .gradient = writer.Block(range, gradient.data()),
                                  .size = range.size};
    const ChannelSum& channel = channels[range.channel];
    const double sum = channel.element.Sum(block, channel.options);
    reader.FinishGradient(range, block.gradient);
    writer.Put(range, block.gradient);
    return std::array<double, 1>{sum};
  });
  double value = 0;
  for (int64_t group = 0; group < blocks.groups(); ++group) {
    value += sums[group][0] * static_cast<double>(channels[group % blocks.channels()].scale);
  }
  return {.value = at::scalar_tensor(value, at::kFloat), .finite = writer.finite()};
}

// Without a weight that does not count.
LossInputs Used(const FusedPointwise& fused, LossInputs inputs) {
  if (!fused.weighted) {
    inputs.weight.reset();
    inputs.class_weights.reset();
  }
  return inputs;
}

}  // namespace

std::vector<ChannelSum> ChannelSums(const FusedPointwise& loss, const Blocks& blocks,
                                    const InputReader& reader, const GradientWriter& writer,
                                    const Context& context) {
  std::vector<ChannelCounts> counts = AllCount(blocks);
  if (MustCount(loss, reader.has_weight())) {
    counts = CountChannels(blocks, reader, loss.max_pos_weight.has_value(), context);
  }
  return SumsOf(loss, counts, writer);
}

GpuSweepInputs PrepareGpuSweep(const FusedPointwise& loss, const LossInputs& inputs) {
  const Blocks blocks(inputs.pred.sizes());
  GpuSweepInputs sweep = {.pred = WidenAndClamp(inputs.pred, inputs.clamp),
                          .target = inputs.target.expand(inputs.pred.sizes())};
  if (inputs.weight.defined()) sweep.weight = inputs.weight.expand(inputs.pred.sizes());
  std::vector<ChannelCounts> counts = AllCount(blocks);
  if (MustCount(loss, sweep.weight.defined())) {
    counts = CountChannelsOnGpu(blocks, sweep.target, sweep.weight);
  }
  sweep.channels = SumsOf(loss, counts, GradientWriter(inputs.gradient));
  return sweep;
}

std::vector<PointwiseChannel> GpuSweepInputs::OfChannels() const {
  std::vector<PointwiseChannel> of_channels(channels.size());
  for (size_t c = 0; c < channels.size(); ++c) {
    const auto& parameters = channels[c].element.parameters();
    std::copy(parameters.begin(), parameters.end(), of_channels[c].element);
    of_channels[c].options = channels[c].options;
  }
  return of_channels;
}

at::Tensor GpuSweepInputs::Value(const at::Tensor& sums) const {
  const auto each = sums.accessor<double, 3>();
  double value = 0;
  for (int64_t b = 0; b < each.size(0); ++b) {
    for (int64_t c = 0; c < each.size(1); ++c) {
      value += each[b][c][0] * static_cast<double>(channels[c].scale);
    }
  }
  return at::scalar_tensor(value, at::kFloat);
}

std::optional<absl::StatusOr<LossResult>> PointwiseLoss::ComputeFused(
    const LossInputs& inputs, const Context& context) const {
  const std::optional<FusedPointwise> fused = Fused(inputs);
  if (!fused.has_value() || fused->reduction == Reduction::kNone) return std::nullopt;
  return SweepPointwise(*fused, Used(*fused, inputs), context);
}

std::optional<absl::StatusOr<LossResult>> PointwiseLoss::ComputeOnGpu(
    const LossInputs& inputs, const Context& /*context*/) const {
  const std::optional<FusedPointwise> fused = Fused(inputs);
  if (!fused.has_value() || fused->reduction == Reduction::kNone) return std::nullopt;
  return SweepPointwiseOnGpu(*fused, Used(*fused, inputs));
}

}  // namespace lossd
