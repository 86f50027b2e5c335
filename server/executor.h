#ifndef SERVER_EXECUTOR_H_
#define SERVER_EXECUTOR_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "server/fair_queue.h"

namespace lossd {

// Runs jobs on its own threads, fairly between clients by the jobs' cost (FairQueue), and refuses
// jobs beyond a bound, so that computation never holds up the threads of gRPC. One thread runs
// nothing but small jobs, which so never wait for large ones. Jobs must not throw. Thread-safe.
class Executor {
  struct Leave {
    void operator()(Executor* executor) const { executor->LeavePlace(); }
  };
  struct LeaveTurn {
    void operator()(Executor* executor) const { executor->EndTurn(); }
  };

 public:
  enum class Admission { kAccepted, kFull, kDraining };

  // A place for one job, which nobody else gets until it goes.
  using Place = std::unique_ptr<Executor, Leave>;

  // Names a job; none is 0.
  using Ticket = uint64_t;

  // Whose job it is, and what it takes.
  struct Share {
    std::string client;
    double cost = 0;
  };

  // The most that a small job costs, as ComputeCost has it: some 10 ms.
  static constexpr double kSmallCost = 1e7;

  // `threads` >= 1 jobs run at the same time, and a small one besides, `max_queued` >= 0 more may
  // wait: there are places for the first and the last.
  Executor(int threads, int max_queued);
  // Runs what was submitted. Waits for places that are still held.
  ~Executor();

  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Whether there is a place for one more job; if so, it is written to `place`.
  Admission Admit(Place& place);
  // What Admit would say now.
  Admission Outlook() const;

  // Runs `job` in its turn, in that place. The ticket, where given, is written before the job
  // begins.
  void Submit(Place place, const Share& share, absl::AnyInvocable<void()> job,
              Ticket* ticket = nullptr);

  // The right to compute on the calling thread, as long as this lives.
  using Turn = std::unique_ptr<Executor, LeaveTurn>;

  // A turn at once, where nothing runs and nothing waits; null otherwise. For tiny jobs: what they
  // would wait for another thread is longer than they take.
  Turn TakeTurn();

  // Jobs that wait, and how many may.
  size_t waiting() const;
  size_t most_waiting() const { return capacity_ - threads_; }

  // Takes a job back, if it has not begun: then it never runs, and its place is free. The job goes
  // before this returns. Whether it was so.
  bool Withdraw(Ticket ticket);

  // From now on nobody is admitted; waits until the places of those admitted before are free, but
  // no longer than `timeout`, which is finite. Whether they are.
  bool Drain(absl::Duration timeout);

 private:
  struct Queued {
    bool small;
    Place place;
    absl::AnyInvocable<void()> job;  // Last: what it holds goes before its place is free.
  };

  Admission Decide() const;  // With mutex_ held.
  void Refuse();
  void LeavePlace();
  void EndTurn();
  void Work(bool small_ones);

  const size_t threads_;
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;  // A job was submitted, or none will be any more.
  std::condition_variable idle_;  // The last place was left.
  FairQueue<Queued> queue_;
  size_t running_ = 0;  // Jobs.
  size_t taken_ = 0;    // Places.
  bool draining_ = false;
  std::vector<std::jthread> workers_;  // Last: joined before the rest goes.
};

}  // namespace lossd

#endif  // SERVER_EXECUTOR_H_
