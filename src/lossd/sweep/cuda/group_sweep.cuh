#ifndef LOSSD_SWEEP_CUDA_GROUP_SWEEP_CUH_
#define LOSSD_SWEEP_CUDA_GROUP_SWEEP_CUH_

#include <cuda_runtime_api.h>

#include <cub/block/block_reduce.cuh>

#include "lossd/sweep/cuda/groups.h"

namespace lossd {

inline constexpr int kSweepThreads = 256;

template <int kSums, typename Body>
__global__ void SweepParts(Groups groups, int64_t parts, Body body, double* partial) {
  const int64_t group = blockIdx.x / parts;
  const int64_t part = blockIdx.x % parts;
  Place at = {.sample = group / groups.channels, .channel = group % groups.channels, .voxel = 0};
  double sums[kSums == 0 ? 1 : kSums] = {};
  const int64_t step = parts * kSweepThreads;
  for (at.voxel = part * kSweepThreads + threadIdx.x; at.voxel < groups.voxels; at.voxel += step) {
    body(at, sums);
  }
  using Reduce = cub::BlockReduce<double, kSweepThreads>;
  __shared__ typename Reduce::TempStorage shared;
  for (int k = 0; k < kSums; ++k) {
    const double sum = Reduce(shared).Sum(sums[k]);
    if (threadIdx.x == 0) partial[blockIdx.x * kSums + k] = sum;
    __syncthreads();
  }
}

// Calls body(place, sums) for all elements, which adds to kSums sums. partial: [samples, channels,
// parts, kSums], overwritten.
template <int kSums, typename Body>
cudaError_t SweepGroups(const Groups& groups, const Body& body, double* partial,
                        cudaStream_t stream) {
  const int64_t parts = groups.parts();
  const auto blocks = static_cast<uint32_t>(groups.count() * parts);
  if (blocks == 0) return cudaSuccess;
  SweepParts<kSums><<<blocks, kSweepThreads, 0, stream>>>(groups, parts, body, partial);
  return cudaGetLastError();
}

}  // namespace lossd

#endif  // LOSSD_SWEEP_CUDA_GROUP_SWEEP_CUH_
