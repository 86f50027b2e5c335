#ifndef LOSSD_PENDING_WORK_H_
#define LOSSD_PENDING_WORK_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lossd/call_control.h"
#include "lossd/process.h"
#include "lossd/result.h"

namespace lossd {

// The thread that makes a call whose caller does something else, which ends before this does.
class PendingWork {
 public:
  // `call` makes the call, and ends soon when `control` says that it was given up. Without a thread
  // for it the result is RESOURCE_EXHAUSTED.
  PendingWork(std::shared_ptr<CallControl> control, std::function<absl::StatusOr<Result>()> call);

  // One that is done.
  explicit PendingWork(absl::StatusOr<Result> result) : result_(std::move(result)) {}

  ~PendingWork();

  PendingWork(const PendingWork&) = delete;
  PendingWork& operator=(const PendingWork&) = delete;

  // In another process only this may be called.
  const Process& process() const { return process_; }

  bool Wait(absl::Duration timeout) const;
  absl::StatusOr<Result> Get() const;
  void Cancel();

 private:
  void Finish(absl::StatusOr<Result> result);

  const Process process_;
  std::shared_ptr<CallControl> control_;
  mutable std::mutex mutex_;
  mutable std::condition_variable done_;
  std::optional<absl::StatusOr<Result>> result_;  // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace lossd

#endif  // LOSSD_PENDING_WORK_H_
