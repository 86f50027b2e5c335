#ifndef SERVER_ARRIVALS_H_
#define SERVER_ARRIVALS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "lossd/base/workspace.h"

namespace lossd {

// Memory that tensors arrive in, kept for those of the next request: to take it from the system
// each time would take longer than to receive it. Thread-safe.
class Arrivals {
 public:
  // Uninitialised bytes, which the tensor keeps as long as it lives. Throws std::bad_alloc.
  at::Tensor Take(int64_t bytes) const;

  // As Workspace's method.
  void Decay() { workspace_->Decay(); }

 private:
  const std::shared_ptr<Workspace> workspace_ = std::make_shared<Workspace>();
};

}  // namespace lossd

#endif  // SERVER_ARRIVALS_H_
