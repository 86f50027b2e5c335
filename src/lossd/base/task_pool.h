#ifndef LOSSD_BASE_TASK_POOL_H_
#define LOSSD_BASE_TASK_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "lossd/base/workspace.h"

namespace lossd {

// A fixed set of threads that share out loops, and the scratch memory that goes with them: one pool
// for all requests, all samples and all blocks.
//
// The thread that calls ParallelFor takes part in its own loop, so a loop always makes progress,
// loops may be nested, and a pool of one thread has no worker at all. Thread-safe.
//
// Why not OpenMP or TBB: both hide their synchronisation from ThreadSanitizer, and neither lets
// concurrent requests share a bounded number of threads without configuration of global state.
class TaskPool {
 public:
  // `threads` >= 1 counts the calling thread: a pool of n has n − 1 workers.
  explicit TaskPool(int threads);
  // Waits for the workers. No loop may be running.
  ~TaskPool();

  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  // For tasks and their callers.
  Workspace& workspace() { return workspace_; }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end) for disjoint ranges of at most `grain` >= 1 indices that together are
  // [0, count), each beginning at a multiple of `grain`, in any order and on any thread, and
  // returns when all have returned. What the calls wrote is visible to the caller. What one of them
  // throws (memory may run out) the caller gets; ranges that have not begun by then are left out.
  void ParallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t begin, int64_t end)>& body);

 private:
  struct Loop;

  void Work(const std::stop_token& stop);

  Workspace workspace_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::shared_ptr<Loop>> loops_;  // Loops that may have ranges left, oldest first.
  std::vector<std::jthread> workers_;        // Last: joined before the rest goes.
};

}  // namespace lossd

#endif  // LOSSD_BASE_TASK_POOL_H_
