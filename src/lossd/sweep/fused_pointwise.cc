#include "lossd/sweep/fused_pointwise.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "lossd/sweep/block_reader.h"

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

}  // namespace

std::vector<ChannelSum> ChannelSums(const FusedPointwise& loss, const Blocks& blocks,
                                    const InputReader& reader, const GradientWriter& writer,
                                    const Context& context) {
  const bool mean = loss.reduction == Reduction::kMean;
  const int64_t samples = blocks.groups() / blocks.channels();
  std::vector<ChannelCounts> counts(blocks.channels(),
                                    {.valid = static_cast<double>(samples * blocks.voxels())});
  if ((mean && reader.has_weight()) || loss.max_pos_weight.has_value()) {
    counts = CountChannels(blocks, reader, loss.max_pos_weight.has_value(), context);
  }
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

std::optional<absl::StatusOr<LossResult>> PointwiseLoss::ComputeFused(
    const LossInputs& inputs, const Context& context) const {
  const std::optional<FusedPointwise> fused = Fused(inputs);
  if (!fused.has_value() || fused->reduction == Reduction::kNone) return std::nullopt;
  LossInputs used = inputs;
  if (!fused->weighted) {
    used.weight.reset();
    used.class_weights.reset();
  }
  return SweepPointwise(*fused, used, context);
}

}  // namespace lossd
