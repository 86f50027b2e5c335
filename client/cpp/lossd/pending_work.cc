#include "lossd/pending_work.h"

#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace lossd {

PendingWork::PendingWork(std::shared_ptr<CallControl> control,
                         std::function<absl::StatusOr<Result>()> call)
    : control_(std::move(control)) {
  try {
    thread_ = std::thread([this, call = std::move(call)] { Finish(call()); });
  } catch (const std::system_error& error) {
    Finish(absl::ResourceExhaustedError(absl::StrCat("no thread for the call: ", error.what())));
  }
}

PendingWork::~PendingWork() {
  Cancel();
  if (thread_.joinable()) thread_.join();
}

bool PendingWork::Wait(absl::Duration timeout) const {
  std::unique_lock lock(mutex_);
  const auto is_done = [this] { return result_.has_value(); };
  const absl::Time until = absl::Now() + timeout;
  if (until < absl::InfiniteFuture()) {
    return done_.wait_until(lock, absl::ToChronoTime(until), is_done);
  }
  done_.wait(lock, is_done);
  return true;
}

absl::StatusOr<Result> PendingWork::Get() const {
  Wait(absl::InfiniteDuration());
  const std::lock_guard lock(mutex_);
  return *result_;
}

void PendingWork::Cancel() {
  if (control_ != nullptr) control_->GiveUp(absl::CancelledError("the call was cancelled"));
}

void PendingWork::Finish(absl::StatusOr<Result> result) {
  const std::lock_guard lock(mutex_);
  result_ = std::move(result);
  done_.notify_all();
}

}  // namespace lossd
