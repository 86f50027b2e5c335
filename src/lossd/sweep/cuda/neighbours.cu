#include "lossd/malis/cuda/device_loops.cuh"
#include "lossd/sweep/cuda/neighbours.h"

// Compiled without contraction to fused multiply-adds: what the loops give on a host's threads,
// they give here, to the bit.
namespace lossd::flat {

cudaError_t SumWorstNeighboursOnDevice(const Device& device, const WorstNeighbourTensors& tensors,
                                       double* sums) {
  DeviceLoops loops(device);
  SumWorstNeighbours(loops, tensors, sums);
  return loops.error();
}

cudaError_t OverlapSkeletonsOnDevice(
    const Device& device, const SkeletonTensors& tensors, int64_t num_iters,
    const std::function<void(uint32_t first, uint32_t count)>& derivative_of) {
  DeviceLoops loops(device);
  OverlapSkeletons(loops, tensors, num_iters, derivative_of);
  return loops.error();
}

}  // namespace lossd::flat
