#ifndef LOSSD_SWEEP_CUDA_POOL_GRADIENT_H_
#define LOSSD_SWEEP_CUDA_POOL_GRADIENT_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace lossd {

// Volumes of sizes (z, y, x), and how far a window reaches along each axis.
struct PoolShape {
  int64_t volumes;
  int64_t sizes[3];
  int64_t reach[3];
};

// The derivative of a maximum over windows around each voxel, summed for each voxel over those
// whose maximum it was, in memory order: the same bits each time, which atomics do not give.
// `chosen`: the place of each maximum in its volume. Arrays lie in the current device's memory.
// Returns whether it could be put into the stream.
cudaError_t PoolGradientOnDevice(const PoolShape& shape, const float* gradient,
                                 const int64_t* chosen, float* sums, cudaStream_t stream);

}  // namespace lossd

#endif  // LOSSD_SWEEP_CUDA_POOL_GRADIENT_H_
