#ifndef SERVER_OBSERVABILITY_RECENT_CALLS_H_
#define SERVER_OBSERVABILITY_RECENT_CALLS_H_

#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/observability/call_record.h"

namespace lossd {

// The last calls that a person may want to look at: slow ones, and failed ones. Thread-safe.
class RecentCalls {
 public:
  // A call that takes `slow` or longer counts as slow.
  explicit RecentCalls(absl::Duration slow) : slow_(slow) {}

  // Whether it is a slow one.
  bool Note(const CallRecord& call);

  // The newest first.
  std::vector<CallRecord> Slow() const;
  std::vector<CallRecord> Failed() const;

 private:
  using Calls = std::deque<CallRecord>;

  const absl::Duration slow_;
  mutable absl::Mutex mutex_;
  Calls slow_calls_ ABSL_GUARDED_BY(mutex_);
  Calls failed_calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_RECENT_CALLS_H_
