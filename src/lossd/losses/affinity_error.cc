#include "lossd/losses/affinity_error.h"

#include <array>

#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/kernels.h"

namespace lossd {
namespace {

using Scratch = std::array<float, kBlockSize>;

}  // namespace

AffinityEdges ReadAffinityEdges(const Blocks& blocks, const InputReader& reader, bool sigmoid,
                                const Context& context) {
  const auto size = static_cast<size_t>(blocks.groups() * blocks.voxels());
  Workspace& workspace = context.workspace();
  AffinityEdges edges = {.affinity = {workspace, size},
                         .positive = {workspace, size},
                         .known = {workspace, reader.has_weight() ? size : 0},
                         .ordered = true};
  const auto disorder = Sweep<1>(blocks, context, [&](const BlockRange& range) {
    Scratch scratch[3];
    const int64_t offset = blocks.Offset(range);
    const bool numbers = AffinityBlock(
        reader.Pred(range, scratch[0].data()), reader.Target(range, scratch[1].data()),
        reader.Weight(range, scratch[2].data()), sigmoid, range.size,
        edges.affinity.data() + offset, edges.positive.data() + offset,
        reader.has_weight() ? edges.known.data() + offset : nullptr);
    return std::array<double, 1>{numbers ? 0.0 : 1.0};
  });
  for (const auto& group : disorder) edges.ordered = edges.ordered && group[0] == 0;
  return edges;
}

double WeightedAffinityError(const Blocks& blocks, const float* affinity, const InputReader& reader,
                             float* weights, const AffinityErrorOptions& options,
                             GradientWriter& writer, const Context& context) {
  const float scale = writer.Scale(options.gradient_scale);
  const auto sums = Sweep<1>(blocks, context, [&](const BlockRange& range) {
    Scratch scratch;
    const int64_t offset = blocks.Offset(range);
    float* const gradient = writer.Block(range, weights + offset);
    const double sum =
        AffinityErrorBlock({.affinity = affinity + offset,
                            .target = reader.Target(range, scratch.data()),
                            .weight = weights + offset,
                            .gradient = gradient,
                            .loss = options.map == nullptr ? nullptr : options.map + offset,
                            .size = range.size},
                           options.sigmoid, scale);
    reader.FinishGradient(range, gradient);
    writer.Put(range, gradient);
    return std::array<double, 1>{sum};
  });
  double sum = 0;
  for (const auto& group : sums) sum += group[0];
  return sum;
}

}  // namespace lossd
