#ifndef SERVER_DEVICES_GPU_H_
#define SERVER_DEVICES_GPU_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/devices/device.h"

namespace lossd {

// How many GPUs there are; 0 without a driver, and in a build without CUDA.
int CountGpus();

// One of them. UNAVAILABLE, with the reason alone as its message, where it is not there or cannot
// be used.
absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int number);

}  // namespace lossd

#endif  // SERVER_DEVICES_GPU_H_
