#ifndef LOSSD_DEVICE_KERNELS_H_
#define LOSSD_DEVICE_KERNELS_H_

#include <ATen/core/Tensor.h>

#include <optional>

#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/malis/grid.h"

// What losses compute on a GPU by kernels of our own: in the current stream of the tensors' device.
// Errors of the device are exceptions of LibTorch's, as everywhere in its expressions. Builds
// without CUDA know no tensors on GPUs; there they throw.
namespace lossd {

// SigmoidBlock of sweep/kernels.h with the same bits; float32, contiguous.
at::Tensor SigmoidOnGpu(const at::Tensor& elements);

// The derivative of a maximum over a window of odd sizes around each voxel: each voxel's sum of
// `gradient` over those that chose it, always in the same order. `chosen`: what LibTorch's
// max_pool2d and max_pool3d give, the place of the maximum in its volume [Z, Y, X] or plane.
// gradient: [B, C, …], float32; all contiguous.
at::Tensor MaxPoolGradientOnGpu(const at::Tensor& gradient, const at::Tensor& chosen,
                                at::IntArrayRef window);

// A batch of MALIS (malis.h) whose tensors are contiguous on one GPU.
struct GpuMalisBatch {
  absl::Span<const Offset> neighborhood;  // [C]
  at::Tensor affinity;                    // [B, C, Z, Y, X], float32
  at::Tensor positive;                    // Likewise, uint8 of 0 and 1.
  at::Tensor known;                       // Likewise; undefined: every edge is known.
  at::Tensor
      labels;  // [B, Z, Y, X], int32 of a uint32's bits; undefined: components of `positive`.
};

struct GpuMalisWeights {
  at::Tensor weights;  // [B, C, Z, Y, X], float32
  at::Tensor pairs;    // [2], int64: MalisPairs, on the GPU, too.
};

// MalisWeights. Nothing when an affinity is NaN, and anything when the context is cancelled.
std::optional<GpuMalisWeights> MalisWeightsOnGpu(const GpuMalisBatch& batch,
                                                 const Context& context);

}  // namespace lossd

#endif  // LOSSD_DEVICE_KERNELS_H_
