#ifndef SERVER_EXECUTOR_H_
#define SERVER_EXECUTOR_H_

#include <condition_variable>
#include <cstdint>
#include <list>
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

  // Names an accepted job.
  using Ticket = uint64_t;

  // `threads` >= 1 jobs run at the same time, `max_queued` >= 0 more may wait.
  Executor(int threads, int max_queued);
  // Runs what was accepted.
  ~Executor();

  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Runs `job` soon if it is accepted, and never if not. The ticket, where given, is written before
  // the job begins.
  Admission Submit(absl::AnyInvocable<void()> job, Ticket* ticket = nullptr);

  // Takes an accepted job back, if it has not begun: then it never runs, and its place is free. The
  // job goes before this returns. Whether it was so.
  bool Withdraw(Ticket ticket);

  // From now on refuses jobs; waits until those accepted before have returned, but no longer than
  // `timeout`, which is finite. Whether they have.
  bool Drain(absl::Duration timeout);

 private:
  struct Queued {
    Ticket ticket;
    absl::AnyInvocable<void()> job;
  };

  void Refuse();
  void Work();

  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable wake_;  // A job was accepted, or none will be any more.
  std::condition_variable idle_;  // The last accepted job has returned or was withdrawn.
  std::list<Queued> queue_;
  Ticket last_ticket_ = 0;
  size_t unfinished_ = 0;  // Accepted and not yet returned.
  bool draining_ = false;
  std::vector<std::jthread> workers_;  // Last: joined before the rest goes.
};

}  // namespace lossd

#endif  // SERVER_EXECUTOR_H_
