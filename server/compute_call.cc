#include "server/compute_call.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "server/rpc_status.h"

namespace lossd {
namespace {

// How soon a call notices that the server stops, while it waits.
constexpr absl::Duration kWatchPeriod = absl::Seconds(1);

}  // namespace

void ComputeCall::Begin() {
  self_ = shared_from_this();
  const std::lock_guard lock(mutex_);
  LookAgain();
  StartRead(&incoming_);
}

void ComputeCall::LookAgain() {
  watch_.emplace().Set(absl::ToChronoTime(NextLook()), [call = weak_from_this()](bool expired) {
    if (!expired) return;
    if (const std::shared_ptr<ComputeCall> alive = call.lock()) alive->LookAfterClient();
  });
}

absl::Time ComputeCall::NextLook() const {
  const absl::Time now = absl::Now();
  const bool of_client = stage_ == Stage::kReceiving || stage_ == Stage::kSending;
  const absl::Duration left =
      of_client ? moved_ + surroundings_.receive_timeout - now : kWatchPeriod;
  return now + std::clamp(left, absl::ZeroDuration(), kWatchPeriod);
}

bool ComputeCall::IsClientSilent() const {
  return absl::Now() - moved_ >= surroundings_.receive_timeout;
}

void ComputeCall::LookAfterClient() {
  absl::Status status;
  {
    const std::lock_guard lock(mutex_);
    if (stage_ == Stage::kSending && IsClientSilent()) {
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
    if (status.ok()) {
      LookAgain();
    } else {
      LeaveReceiving();
    }
  }
  if (!status.ok()) return End(status);
  call_.StopWaiting();
}

absl::Status ComputeCall::WhyNotSent() {
  const std::lock_guard lock(mutex_);
  return given_up_ ? SendTimeoutError(surroundings_.receive_timeout) : call_.WhyClientIsGone();
}

}  // namespace lossd
