#ifndef LOSSD_DEVICE_NEIGHBOURS_H_
#define LOSSD_DEVICE_NEIGHBOURS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/device/sweeps.h"
#include "lossd/sweep/cuda/groups.h"

// Losses that look at neighbours, by the loops of sweep/flat: on a GPU, in its current stream; of
// tensors on the host on the context's threads, for tests. Unspecified when the context is
// cancelled. Channels have fewer than 2³¹ voxels.
namespace lossd {

struct GpuWorstNeighbours {
  at::Tensor pred;    // [B, C, …], float32
  at::Tensor target;  // Of any dtype; of the same sizes.
  at::Tensor weight;  // Likewise; undefined: 1.
  int64_t radius;     // Of the window.
  // [C], whose element is a BinaryCrossEntropy.
  absl::Span<const PointwiseChannel> channels;
};

// Σ weight × loss of the worst neighbours of each voxel's class, [B, C, 1].
GpuSums SumWorstNeighboursOnGpu(const GpuWorstNeighbours& inputs, const GpuGradient& gradient,
                                const Context& context);

struct GpuSkeletons {
  at::Tensor pred;    // Probabilities [B, C, …], float32, contiguous.
  at::Tensor target;  // Likewise.
  at::Tensor weight;  // Broadcastable to them; undefined: 1.
  int64_t num_iters;
  // Where the gradient with respect to `pred` goes, contiguous; undefined: it is not wanted.
  at::Tensor gradient;
};

// The sums of SkeletonSums (skeleton_kernels.h): of the prediction's skeletons in the targets, then
// of the targets' in the predictions, [B·C, 4], float64 on the host. derivative_of(sums) is that of
// what is to be differentiated with respect to some rows of them.
at::Tensor OverlapSkeletonsOnGpu(
    const GpuSkeletons& inputs,
    const std::function<at::Tensor(const at::Tensor& sums)>& derivative_of, const Context& context);

}  // namespace lossd

#endif  // LOSSD_DEVICE_NEIGHBOURS_H_
