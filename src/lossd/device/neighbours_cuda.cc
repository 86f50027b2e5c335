#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "lossd/device/cached_memory.h"
#include "lossd/device/neighbours_in_stream.h"
#include "lossd/sweep/cuda/neighbours.h"

namespace lossd {
namespace {

template <typename Run>
void InStream(const Context& context, const Run& run) {
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream();
  CachedMemory memory(stream);
  // The host waits for no number of these loops.
  C10_CUDA_CHECK(run(
      flat::Device{.stream = stream, .landing = nullptr, .memory = memory, .cancelled = [&context] {
                     return context.Cancelled();
                   }}));
}

}  // namespace

void SumWorstNeighboursInStream(const flat::WorstNeighbourTensors& tensors, double* sums,
                                const Context& context) {
  InStream(context, [&](const flat::Device& device) {
    return flat::SumWorstNeighboursOnDevice(device, tensors, sums);
  });
}

void OverlapSkeletonsInStream(
    const flat::SkeletonTensors& tensors, int64_t num_iters,
    const std::function<void(uint32_t first, uint32_t count)>& derivative_of,
    const Context& context) {
  InStream(context, [&](const flat::Device& device) {
    return flat::OverlapSkeletonsOnDevice(device, tensors, num_iters, derivative_of);
  });
}

}  // namespace lossd
