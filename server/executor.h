#ifndef SERVER_EXECUTOR_H_
#define SERVER_EXECUTOR_H_

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace lossd {

// Runs jobs on its own threads, first come, first served, and refuses jobs beyond a bound, so that
// computation never holds up the threads of gRPC and a burst cannot take all memory. Jobs must not
// throw. Thread-safe.
class Executor {
 public:
  enum class Admission { kAccepted, kFull, kDraining };

  // `threads` >= 1 jobs run at the same time, `max_queued` >= 0 more may wait.
  Executor(int threads, int max_queued);
  // Runs what was accepted.
  ~Executor();

  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Runs `job` soon if it is accepted, and never if not.
  Admission Submit(absl::AnyInvocable<void()> job);

  // From now on refuses jobs; waits until those accepted before have returned, but no longer than
  // `timeout`, which is finite. Whether they have.
  bool Drain(absl::Duration timeout);

 private:
  void Refuse();
  void Work();

  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable wake_;  // A job was accepted, or none will be any more.
  std::condition_variable idle_;  // The last accepted job has returned.
  std::deque<absl::AnyInvocable<void()>> queue_;
  size_t unfinished_ = 0;  // Accepted and not yet returned.
  bool draining_ = false;
  std::vector<std::jthread> workers_;  // Last: joined before the rest goes.
};

}  // namespace lossd

#endif  // SERVER_EXECUTOR_H_
