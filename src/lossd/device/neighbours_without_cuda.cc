#include <c10/util/Exception.h>

#include "lossd/device/neighbours_in_stream.h"

namespace lossd {

void SumWorstNeighboursInStream(const flat::WorstNeighbourTensors& /*tensors*/, double* /*sums*/,
                                const Context& /*context*/) {
  TORCH_CHECK(false, "built without CUDA");
}

void OverlapSkeletonsInStream(
    const flat::SkeletonTensors& /*tensors*/, int64_t /*num_iters*/,
    const std::function<void(uint32_t first, uint32_t count)>& /*derivative_of*/,
    const Context& /*context*/) {
  TORCH_CHECK(false, "built without CUDA");
}

}  // namespace lossd
