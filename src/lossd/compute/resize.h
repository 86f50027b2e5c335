#ifndef LOSSD_COMPUTE_RESIZE_H_
#define LOSSD_COMPUTE_RESIZE_H_

#include <ATen/ATen.h>

#include "lossd/base/context.h"

namespace lossd {

// Labels and masks [B, C, Z, Y, X] or [B, C, Y, X] at the spatial size of a prediction, as
// torch.nn.functional.interpolate does it. A tensor that has the size already is returned as it is.
// What is resized when the context is cancelled is unspecified.

// Nearest neighbour ("nearest"); keeps the dtype.
at::Tensor ResizeNearest(const at::Tensor& source, at::IntArrayRef size, const Context& context);

// Values per voxel: floating-point ones trilinearly (bilinearly in 2-D, align_corners false) in
// float32 and, when the source lies within [−1.5, 1.5], clamped to [−1, 1]; integers and bools by
// nearest neighbour.
at::Tensor ResizeDense(const at::Tensor& source, at::IntArrayRef size, const Context& context);

// Which voxels are known: one is when every voxel under it is. `known` is bool, and so is the
// result.
at::Tensor ResizeKnown(const at::Tensor& known, at::IntArrayRef size, const Context& context);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_RESIZE_H_
