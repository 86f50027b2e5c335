#ifndef LOSSD_DEVICE_NEIGHBOURS_IN_STREAM_H_
#define LOSSD_DEVICE_NEIGHBOURS_IN_STREAM_H_

#include <cstdint>
#include <functional>

#include "lossd/base/context.h"
#include "lossd/sweep/flat/skeleton_overlaps.h"
#include "lossd/sweep/flat/worst_neighbours.h"

// SumWorstNeighbours and OverlapSkeletons of sweep/flat in the current stream of the current GPU,
// whose errors are LibTorch's exceptions. Builds without CUDA throw.
namespace lossd {

void SumWorstNeighboursInStream(const flat::WorstNeighbourTensors& tensors, double* sums,
                                const Context& context);
void OverlapSkeletonsInStream(
    const flat::SkeletonTensors& tensors, int64_t num_iters,
    const std::function<void(uint32_t first, uint32_t count)>& derivative_of,
    const Context& context);

}  // namespace lossd

#endif  // LOSSD_DEVICE_NEIGHBOURS_IN_STREAM_H_
