#ifndef LOSSD_LOSSES_TORCH_STATUS_H_
#define LOSSD_LOSSES_TORCH_STATUS_H_

#include <exception>
#include <utility>

#include "absl/status/status.h"

namespace lossd {

// RESOURCE_EXHAUSTED when memory ran out, else INTERNAL. Without LibTorch's backtrace.
absl::Status TorchErrorStatus(const std::exception& error);

// Runs `body`, which returns a Status or StatusOr, and turns what LibTorch or the allocator
// throws into a status: no exception crosses a module's border.
template <typename Body>
auto CatchTorchErrors(Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::exception& error) {
    return TorchErrorStatus(error);
  }
}

}  // namespace lossd

#endif  // LOSSD_LOSSES_TORCH_STATUS_H_
