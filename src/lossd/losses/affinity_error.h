#ifndef LOSSD_LOSSES_AFFINITY_ERROR_H_
#define LOSSD_LOSSES_AFFINITY_ERROR_H_

#include <ATen/ATen.h>

#include "lossd/base/context.h"
#include "lossd/losses/loss.h"
#include "lossd/losses/option.h"
#include "lossd/sweep/input_reader.h"

// The squared error of affinities under given weights: what MALIS is once it has its weights.
namespace lossd {

// What a loss of affinities reads of its inputs, contiguous [B, C, …] on the CPU.
struct AffinityEdges {
  at::Tensor affinity;  // float32.
  at::Tensor positive;  // Bytes: whether the target is > 0.5.
  at::Tensor known;     // Bytes: whether the weight is 1; undefined where there is no weight.
  bool ordered;         // No affinity is NaN.
};

// `sizes` are the prediction's; `sigmoid`: predictions are logits.
AffinityEdges ReadAffinityEdges(at::IntArrayRef sizes, const InputReader& reader, bool sigmoid,
                                const Context& context);

struct AffinityErrorOptions {
  bool sigmoid;  // The gradient is with respect to logits.
  Reduction reduction;
  bool want_gradient;
};

// Σ, mean or map of weights × (affinity − target)², and its gradient, which takes the place of the
// weights. All as `reader` has them: targets, and where the gradient is 0.
ValueAndGradient WeightedAffinityError(const at::Tensor& affinity, const InputReader& reader,
                                       const at::Tensor& weights,
                                       const AffinityErrorOptions& options, const Context& context);

}  // namespace lossd

#endif  // LOSSD_LOSSES_AFFINITY_ERROR_H_
