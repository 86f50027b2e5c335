#include "lossd/losses/affinity_error.h"

#include <array>

#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/large_tensor.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

using Scratch = std::array<float, kBlockSize>;

}  // namespace

AffinityEdges ReadAffinityEdges(at::IntArrayRef sizes, const InputReader& reader, bool sigmoid,
                                const Context& context) {
  const Blocks blocks(sizes);
  AffinityEdges edges = {.affinity = EmptyFloats(sizes),
                         .positive = at::empty(sizes, at::kByte),
                         .known = reader.has_weight() ? at::empty(sizes, at::kByte) : at::Tensor(),
                         .ordered = true};
  auto* const affinity = edges.affinity.mutable_data_ptr<float>();
  auto* const positive = edges.positive.mutable_data_ptr<uint8_t>();
  auto* const known = reader.has_weight() ? edges.known.mutable_data_ptr<uint8_t>() : nullptr;
  const auto disorder = Sweep<1>(blocks, context, [&](const BlockRange& range) {
    Scratch scratch[3];
    const int64_t offset = blocks.Offset(range);
    const bool numbers = AffinityBlock(
        reader.Pred(range, scratch[0].data()), reader.Target(range, scratch[1].data()),
        reader.Weight(range, scratch[2].data()), sigmoid, range.size, affinity + offset,
        positive + offset, known == nullptr ? nullptr : known + offset);
    return std::array<double, 1>{numbers ? 0.0 : 1.0};
  });
  for (const auto& group : disorder) edges.ordered = edges.ordered && group[0] == 0;
  return edges;
}

ValueAndGradient WeightedAffinityError(const at::Tensor& affinity, const InputReader& reader,
                                       const at::Tensor& weights,
                                       const AffinityErrorOptions& options,
                                       const Context& context) {
  const bool mean = options.reduction == Reduction::kMean;
  const double scale = mean ? 1 / static_cast<double>(affinity.numel()) : 1;
  const Blocks blocks(affinity.sizes());
  const auto* const affinities = affinity.const_data_ptr<float>();
  auto* const weight = weights.mutable_data_ptr<float>();
  float* const gradients = options.want_gradient ? weight : nullptr;
  at::Tensor map;
  float* losses = nullptr;
  if (options.reduction == Reduction::kNone) {
    map = EmptyFloats(affinity.sizes());
    losses = map.mutable_data_ptr<float>();
  }
  const auto sums = Sweep<1>(blocks, context, [&](const BlockRange& range) {
    Scratch scratch;
    const int64_t offset = blocks.Offset(range);
    float* const gradient = gradients == nullptr ? nullptr : gradients + offset;
    const double sum = AffinityErrorBlock({.affinity = affinities + offset,
                                           .target = reader.Target(range, scratch.data()),
                                           .weight = weight + offset,
                                           .gradient = gradient,
                                           .loss = losses == nullptr ? nullptr : losses + offset,
                                           .size = range.size},
                                          options.sigmoid, static_cast<float>(scale));
    reader.FinishGradient(range, gradient);
    return std::array<double, 1>{sum};
  });
  double sum = 0;
  for (const auto& group : sums) sum += group[0];
  return {.value = map.defined() ? map : at::scalar_tensor(scale * sum, at::kFloat),
          .gradient = options.want_gradient ? weights : at::Tensor()};
}

}  // namespace lossd
