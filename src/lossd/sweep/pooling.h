#ifndef LOSSD_SWEEP_POOLING_H_
#define LOSSD_SWEEP_POOLING_H_

#include <ATen/ATen.h>

namespace lossd {

// The maximum over the window of odd size `window` (one size a spatial dimension) around each voxel
// of [B, C, Y, X] or [B, C, Z, Y, X]; what lies outside does not count. The gradient goes to the
// first voxel, in memory order, that attains it.
at::Tensor MaxPool(const at::Tensor& values, at::IntArrayRef window);

// The same with the minimum.
at::Tensor MinPool(const at::Tensor& values, at::IntArrayRef window);

}  // namespace lossd

#endif  // LOSSD_SWEEP_POOLING_H_
