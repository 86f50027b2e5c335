#ifndef LOSSD_BASE_CONTEXT_H_
#define LOSSD_BASE_CONTEXT_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "lossd/base/cancellation.h"
#include "lossd/base/task_pool.h"
#include "lossd/base/workspace.h"

namespace lossd {

// What a computation may use while it runs: threads, scratch memory, and the word whether anybody
// still waits for it. A handle, to be passed on by reference; what it points to must outlive it.
class Context {
 public:
  // A computation that nobody cancels needs no more than a pool.
  Context(TaskPool& tasks) : tasks_(&tasks) {}  // NOLINT(google-explicit-constructor)
  Context(TaskPool& tasks, const Cancellation& cancellation)
      : tasks_(&tasks), cancellation_(&cancellation) {}

  // How many threads may take part in a loop.
  int threads() const { return tasks_->threads(); }
  Workspace& workspace() const { return tasks_->workspace(); }

  // As TaskPool::ParallelFor, until the computation is cancelled: ranges that have not begun by
  // then are left out. Whoever cannot use what half a loop wrote asks status() first.
  void ParallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t begin, int64_t end)>& body) const;

  // Whether the computation has been cancelled: its results are of no use to anybody. To be asked
  // by every loop that takes more than some 50 ms.
  bool Cancelled() const { return cancellation_ != nullptr && cancellation_->Fired(); }

  // OK, or why the computation has been cancelled.
  absl::Status status() const {
    return cancellation_ == nullptr ? absl::OkStatus() : cancellation_->status();
  }

 private:
  TaskPool* tasks_;
  const Cancellation* cancellation_ = nullptr;
};

}  // namespace lossd

#endif  // LOSSD_BASE_CONTEXT_H_
