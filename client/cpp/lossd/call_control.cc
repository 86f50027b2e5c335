#include "lossd/call_control.h"

#include <utility>

#include "absl/time/clock.h"

namespace lossd {

void CallControl::GiveUp(const absl::Status& reason) {
  const std::lock_guard lock(mutex_);
  reason_.Update(reason);
  if (under_way_ != nullptr) under_way_->TryCancel();
  given_up_.notify_all();
}

absl::Status CallControl::status() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

void CallControl::Sleep(absl::Duration duration) {
  std::unique_lock lock(mutex_);
  given_up_.wait_until(lock, absl::ToChronoTime(absl::Now() + duration),
                       [this] { return !reason_.ok(); });
}

CallControl::Attempt::Attempt(CallControl& control, grpc::ClientContext& context)
    : control_(control) {
  const std::lock_guard lock(control_.mutex_);
  before_ = std::exchange(control_.under_way_, &context);
  if (!control_.reason_.ok()) context.TryCancel();
}

CallControl::Attempt::~Attempt() {
  const std::lock_guard lock(control_.mutex_);
  control_.under_way_ = before_;
  if (before_ != nullptr && !control_.reason_.ok()) before_->TryCancel();
}

}  // namespace lossd
