#ifndef LOSSD_SWEEP_CUDA_NEIGHBOURS_H_
#define LOSSD_SWEEP_CUDA_NEIGHBOURS_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

#include "lossd/malis/cuda/device.h"
#include "lossd/sweep/flat/skeleton_overlaps.h"
#include "lossd/sweep/flat/worst_neighbours.h"

// Losses that look at neighbours, on a GPU: SumWorstNeighbours and OverlapSkeletons of sweep/flat.
// All arrays lie in the device's memory. Return the first error of the device, of these or of
// earlier calls; what the allocator throws, they pass on.
namespace lossd::flat {

cudaError_t SumWorstNeighboursOnDevice(const Device& device, const WorstNeighbourTensors& tensors,
                                       double* sums);

cudaError_t OverlapSkeletonsOnDevice(
    const Device& device, const SkeletonTensors& tensors, int64_t num_iters,
    const std::function<void(uint32_t first, uint32_t count)>& derivative_of);

}  // namespace lossd::flat

#endif  // LOSSD_SWEEP_CUDA_NEIGHBOURS_H_
