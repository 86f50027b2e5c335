#ifndef LOSSD_DEVICE_SWEEPS_H_
#define LOSSD_DEVICE_SWEEPS_H_

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "lossd/sweep/cuda/groups.h"

// Sweeps over tensors [B, C, …] on a GPU (sweep/cuda/sweeps.h), in its current stream. Predictions
// are float32, other tensors of any dtype but complex, all broadcast to the prediction's sizes.
// Sums are float64 on the host: for these the stream is waited for.
namespace lossd {

// Where a gradient goes: float32, its voxels side by side; undefined: nowhere.
struct GpuGradient {
  at::Tensor into = {};
  bool add = false;
};

struct GpuSums {
  at::Tensor sums;  // [B, C, …]
  bool finite;      // Whether what was put of gradients is.
};

// Σ weight × loss, [B, C, 1]; `loss` is the place in the list of losses of the element functions,
// `channels` [C]. `weight` may be undefined.
GpuSums SumPointwiseOnGpu(int loss, absl::Span<const PointwiseChannel> channels,
                          const at::Tensor& pred, const at::Tensor& target,
                          const at::Tensor& weight, const GpuGradient& gradient);

// Σ p × target, Σ p and Σ target, [B, C, 3].
at::Tensor SumOverlapsOnGpu(const at::Tensor& pred, const at::Tensor& target, bool sigmoid);

// Puts (factors[0] × target + factors[1]) × d p / d pred, factors [B, C, 2]. Whether it is finite.
bool PutOverlapGradientOnGpu(const at::Tensor& pred, const at::Tensor& target, bool sigmoid,
                             const at::Tensor& factors, const GpuGradient& gradient);

struct GpuAffinityErrors {
  at::Tensor affinity;
  at::Tensor target;
  at::Tensor weight;
  at::Tensor unknown;  // Bool: where the gradient is 0; undefined: nowhere.
  bool sigmoid;        // The gradient is with respect to logits.
  float gradient_scale;
};

// Σ weight × (affinity − target)², [B, C, 1].
GpuSums SumAffinityErrorsOnGpu(const GpuAffinityErrors& errors, const GpuGradient& gradient);

}  // namespace lossd

#endif  // LOSSD_DEVICE_SWEEPS_H_
