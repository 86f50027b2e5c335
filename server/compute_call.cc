#include "server/compute_call.h"

#include "absl/time/clock.h"
#include "server/rpc_status.h"

namespace lossd {

void ComputeCall::Begin() {
  self_ = shared_from_this();
  // Who looks after the client shall not end what has not begun.
  const std::lock_guard lock(mutex_);
  watched_.emplace(surroundings_.watch, weak_from_this());
  StartRead(&incoming_);
}

void ComputeCall::Refuse(const absl::Status& status) {
  self_ = shared_from_this();
  End(status);
}

bool ComputeCall::IsClientSilent() const {
  return absl::Now() - moved_ >= surroundings_.receive_timeout;
}

void ComputeCall::LookAfterClient() {
  absl::Status status;
  {
    const std::lock_guard lock(mutex_);
    if (stage_ == Stage::kSending && IsClientSilent() && !given_up_) {
      given_up_ = true;
      // What is being sent comes to its end.
      context_.TryCancel();
      return;
    }
    if (stage_ == Stage::kReceiving) {
      status = call_.cancellation().status();
      if (status.ok() && IsClientSilent()) {
        status = ReceiveTimeoutError(surroundings_.receive_timeout);
      }
    }
    if (!status.ok()) LeaveReceiving();
  }
  if (!status.ok()) return End(status);
  call_.StopWaiting();
}

absl::Status ComputeCall::WhyNotSent() {
  const std::lock_guard lock(mutex_);
  return given_up_ ? SendTimeoutError(surroundings_.receive_timeout) : call_.WhyClientIsGone();
}

}  // namespace lossd
