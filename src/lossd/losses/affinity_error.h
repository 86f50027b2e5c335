#ifndef LOSSD_LOSSES_AFFINITY_ERROR_H_
#define LOSSD_LOSSES_AFFINITY_ERROR_H_

#include <ATen/ATen.h>

#include <cstdint>

#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/sweep.h"

// The squared error of affinities under given weights: what MALIS is once it has its weights.
namespace lossd {

// What a loss of affinities reads of its inputs, [B, C, …] without gaps, in scratch memory.
struct AffinityEdges {
  Workspace::Buffer<float> affinity;
  Workspace::Buffer<uint8_t> positive;  // Whether the target is > 0.5.
  Workspace::Buffer<uint8_t> known;     // Whether the weight is 1; empty where there is no weight.
  bool ordered;                         // No affinity is NaN.
};

// `blocks` are the prediction's; `sigmoid`: predictions are logits.
AffinityEdges ReadAffinityEdges(const Blocks& blocks, const InputReader& reader, bool sigmoid,
                                const Context& context);

struct AffinityErrorOptions {
  bool sigmoid;  // The gradient is with respect to logits.
  // Factor on the gradient beside that of its writer, not on the value.
  double gradient_scale = 1;
  float* map = nullptr;  // Where the summands go, like the affinities; null: not wanted.
};

// Σ weights × (affinity − target)²; targets, and where the gradient is 0, as `reader` has them. The
// weights, [B, C, …] without gaps, become scratch memory; they may be where the writer writes.
double WeightedAffinityError(const Blocks& blocks, const float* affinity, const InputReader& reader,
                             float* weights, const AffinityErrorOptions& options,
                             GradientWriter& writer, const Context& context);

}  // namespace lossd

#endif  // LOSSD_LOSSES_AFFINITY_ERROR_H_
