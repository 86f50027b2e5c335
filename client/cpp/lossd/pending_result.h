#ifndef LOSSD_PENDING_RESULT_H_
#define LOSSD_PENDING_RESULT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lossd/result.h"

namespace lossd {

class PendingWork;

// The result of a call that may still be under way. Thread-safe; cheap to move, and of no use when
// moved from. A thread of its own makes the call. When this goes before the call is done, nobody
// waits for it any more: it is cancelled, which takes some milliseconds.
//
// In a forked process it is of no use, either: there, Get is FAILED_PRECONDITION.
class PendingResult {
 public:
  explicit PendingResult(std::shared_ptr<PendingWork> work);
  PendingResult(PendingResult&& other) noexcept;
  PendingResult& operator=(PendingResult&& other) noexcept;
  ~PendingResult();

  // Waits for the call, but not longer than `timeout`; whether it is done.
  bool Wait(absl::Duration timeout = absl::InfiniteDuration()) const;

  // Whether Get returns at once.
  bool Done() const { return Wait(absl::ZeroDuration()); }

  // What came of the call, as Client::Compute returns it; waits for it. The same each time.
  absl::StatusOr<Result> Get() const;

  // Gives the call up: its result is CANCELLED, unless it is done.
  void Cancel();

 private:
  void LetGo();

  std::shared_ptr<PendingWork> work_;
};

}  // namespace lossd

#endif  // LOSSD_PENDING_RESULT_H_
