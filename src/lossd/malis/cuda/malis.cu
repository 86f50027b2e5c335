#include "lossd/malis/cuda/device_loops.cuh"
#include "lossd/malis/cuda/malis.h"
#include "lossd/malis/flat/malis.h"

namespace lossd::flat {

DeviceResult CountsOnDevice(const Device& device, const Batch& batch, MalisPass pass,
                            uint64_t* counts) {
  DeviceLoops loops(device);
  const std::optional<int64_t> nan = Counts(loops, batch, pass, counts);
  return {.error = loops.error(), .nan = nan};
}

DeviceResult WeightsOnDevice(const Device& device, const Batch& batch, float* weights,
                             uint64_t* pairs) {
  DeviceLoops loops(device);
  const std::optional<int64_t> nan = Weights(loops, batch, weights, pairs);
  return {.error = loops.error(), .nan = nan};
}

}  // namespace lossd::flat
