#ifndef LOSSD_TENSOR_ARRIVALS_H_
#define LOSSD_TENSOR_ARRIVALS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "lossd/base/workspace.h"

namespace lossd {

// Memory that tensors arrive in over a network, kept for those of the next call: to take it from
// the system each time would take longer than to receive it. Thread-safe.
class Arrivals {
 public:
  // In memory of its own, or in that of others too.
  Arrivals() = default;
  explicit Arrivals(std::shared_ptr<Workspace> workspace) : workspace_(std::move(workspace)) {}

  // Uninitialised bytes, which the tensor keeps as long as it lives. Throws std::bad_alloc.
  at::Tensor Take(int64_t bytes) const;

  // As Workspace's methods.
  void Decay() const { workspace_->Decay(); }
  void GiveBack() const { workspace_->GiveBack(); }
  size_t kept() const { return workspace_->kept(); }

 private:
  std::shared_ptr<Workspace> workspace_ = std::make_shared<Workspace>();
};

}  // namespace lossd

#endif  // LOSSD_TENSOR_ARRIVALS_H_
