#include "absl/status/status.h"
#include "server/devices/gpu.h"

namespace lossd {

int CountGpus() { return 0; }

absl::StatusOr<std::unique_ptr<Device>> OpenGpu(int /*number*/) {
  return absl::UnavailableError("this server was built without CUDA");
}

}  // namespace lossd
