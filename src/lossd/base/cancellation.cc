#include "lossd/base/cancellation.h"

#include <utility>

#include "absl/time/clock.h"

namespace lossd {

bool Cancellation::Fired() const {
  if (fired_.load(std::memory_order_acquire)) return true;
  if (above_ != nullptr && above_->Fired()) {
    Fire(above_->status());
  } else if (deadline_ != absl::InfiniteFuture() && absl::Now() >= deadline_) {
    Fire(absl::DeadlineExceededError("the deadline passed before the answer was computed"));
  } else {
    return false;
  }
  return true;
}

absl::Status Cancellation::status() const {
  if (!Fired()) return absl::OkStatus();
  const std::scoped_lock lock(mutex_);
  return reason_;
}

void Cancellation::Fire(absl::Status reason) const {
  const std::scoped_lock lock(mutex_);
  if (fired_.load(std::memory_order_relaxed)) return;
  reason_ = std::move(reason);
  fired_.store(true, std::memory_order_release);
}

}  // namespace lossd
