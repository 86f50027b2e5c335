#ifndef SERVER_OPEN_CALLS_H_
#define SERVER_OPEN_CALLS_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace lossd {

// How many calls gRPC has not done with: their answers may still be on the way. Thread-safe.
class OpenCalls {
 public:
  // A call, as long as this lives.
  class Entry {
   public:
    explicit Entry(OpenCalls& calls) : calls_(calls) { calls_.Add(1); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { calls_.Add(-1); }

   private:
    OpenCalls& calls_;
  };

  // Whether there is none any more within `timeout`.
  bool WaitUntilNone(absl::Duration timeout) {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(this, &OpenCalls::None), timeout);
  }

 private:
  void Add(int64_t change) {
    const absl::MutexLock lock(&mutex_);
    count_ += change;
  }
  bool None() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return count_ == 0; }

  absl::Mutex mutex_;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace lossd

#endif  // SERVER_OPEN_CALLS_H_
