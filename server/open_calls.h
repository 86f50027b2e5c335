#ifndef SERVER_OPEN_CALLS_H_
#define SERVER_OPEN_CALLS_H_

#include <pthread.h>

#include <algorithm>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/observability/server_state.h"

namespace lossd {

// The calls that gRPC has not done with: their answers may still be on the way. Thread-safe.
class OpenCalls {
 public:
  // A call, as long as this lives.
  class Entry {
   public:
    Entry(OpenCalls& calls, OpenCall call) : calls_(calls), place_(calls.Add(std::move(call))) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { calls_.Remove(place_); }

    void Rename(const std::string& id) {
      const absl::MutexLock lock(&calls_.mutex_);
      place_->id = id;
    }

    // It is computed by the calling thread, until EndComputing.
    void BeginComputing() {
      const absl::MutexLock lock(&calls_.mutex_);
      place_->computed_by = pthread_self();
    }
    void EndComputing() {
      const absl::MutexLock lock(&calls_.mutex_);
      place_->computed_by.reset();
    }

    // Nobody waits for it any more.
    void GiveUp() {
      const absl::MutexLock lock(&calls_.mutex_);
      place_->given_up = std::min(place_->given_up, absl::Now());
    }

   private:
    OpenCalls& calls_;
    const std::list<OpenCall>::iterator place_;
  };

  // The oldest first.
  std::vector<OpenCall> List() const {
    const absl::MutexLock lock(&mutex_);
    return {calls_.begin(), calls_.end()};
  }

  // Whether there is none any more within `timeout`.
  bool WaitUntilNone(absl::Duration timeout) {
    const absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(this, &OpenCalls::None), timeout);
  }

 private:
  std::list<OpenCall>::iterator Add(OpenCall call) {
    const absl::MutexLock lock(&mutex_);
    return calls_.insert(calls_.end(), std::move(call));
  }
  void Remove(std::list<OpenCall>::iterator place) {
    const absl::MutexLock lock(&mutex_);
    calls_.erase(place);
  }
  bool None() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return calls_.empty(); }

  mutable absl::Mutex mutex_;
  std::list<OpenCall> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lossd

#endif  // SERVER_OPEN_CALLS_H_
