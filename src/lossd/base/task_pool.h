#ifndef LOSSD_BASE_TASK_POOL_H_
#define LOSSD_BASE_TASK_POOL_H_

#include <atomic>
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

class TaskGroup;

// A fixed set of threads that share out loops, and the scratch memory that goes with them: one pool
// for all requests, all samples and all blocks.
//
// The thread that calls ParallelFor takes part in its own loop, so a loop always makes progress,
// loops may be nested, and a pool of one thread has no worker at all. Computations that run at the
// same time take a TaskGroup each, to share the pool's bound. Thread-safe.
//
// Why not OpenMP or TBB: both hide their synchronisation from ThreadSanitizer, and neither lets
// concurrent requests share a bounded number of threads without configuration of global state.
class TaskPool {
 public:
  // `threads` >= 1 counts the calling thread: a pool of n has n − 1 workers.
  explicit TaskPool(int threads);
  // Waits for the workers. No loop may be running, and no group be left.
  ~TaskPool();

  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  // For tasks and their callers.
  Workspace& workspace() { return workspace_; }

  int threads() const { return threads_; }

  // Calls body(begin, end) for disjoint ranges of at most `grain` >= 1 indices that together are
  // [0, count), each beginning at a multiple of `grain`, in any order and on any thread, and
  // returns when all have returned. What the calls wrote is visible to the caller. What one of them
  // throws (memory may run out) the caller gets; ranges that have not begun by then are left out.
  //
  // The caller is not counted among the pool's threads, beyond the one that the pool has no worker
  // for.
  void ParallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t begin, int64_t end)>& body) {
    Run(nullptr, count, grain, body);
  }

 private:
  friend class TaskGroup;
  struct Loop;

  // `group` is null for a caller that is not counted.
  void Run(TaskGroup* group, int64_t count, int64_t grain,
           const std::function<void(int64_t begin, int64_t end)>& body);
  void Work(const std::stop_token& stop);
  // What a worker should help with; null for nothing.
  std::shared_ptr<Loop> Pick() const;

  // A thread that computes holds one of threads() places. Those who wait for one get it in the
  // order in which they came.
  void TakePlace(std::unique_lock<std::mutex>& lock);
  void LeavePlace();
  // Lets those who wait have their turn, once the calling thread has had its own.
  void Yield();
  bool SomebodyWaits() const { return waiting_.load(std::memory_order_relaxed) != 0; }

  const int threads_;
  Workspace workspace_;
  std::mutex mutex_;
  std::condition_variable_any work_;         // For workers: Pick may find something.
  std::condition_variable place_;            // For those who wait for a place.
  std::deque<std::shared_ptr<Loop>> loops_;  // Loops that may have ranges left, oldest first.
  int taken_ = 0;                            // Places.
  uint64_t came_ = 0;                        // How many have ever waited for a place.
  uint64_t served_ = 0;                      // How many of them have got it.
  std::atomic<uint64_t> waiting_ = 0;        // How many have not.
  std::vector<std::jthread> workers_;        // Last: joined before the rest goes.
};

// One of several computations in a pool. Its thread is counted, like the workers that help it: no
// more threads compute than the pool has, however many groups there are. Between the ranges of its
// loops, and where it says so, a thread that has computed for a millisecond gives way to others
// that wait; workers help the group that has the least help, of several the oldest.
class TaskGroup {
 public:
  // Waits until the calling thread may compute, which it does until the group's end.
  explicit TaskGroup(TaskPool& pool);
  ~TaskGroup();

  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  TaskPool& pool() const { return pool_; }

  // As TaskPool::ParallelFor; for the group's thread and its tasks.
  void ParallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t begin, int64_t end)>& body) {
    pool_.Run(this, count, grain, body);
  }

  // Gives way to others that wait for a thread; for the group's thread and its tasks. Cheap where
  // nobody does.
  void Yield() { pool_.Yield(); }

  // Calls wait(), in which the group's thread computes nothing: others have its place until then.
  void Rest(const std::function<void()>& wait);

 private:
  friend class TaskPool;

  TaskPool& pool_;
  int helpers_ = 0;  // Workers in its loops; guarded by the pool's mutex.
};

}  // namespace lossd

#endif  // LOSSD_BASE_TASK_POOL_H_
