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
//
// Cancellation works like this. Once it is cancelled, a computation's loops do nothing, and its
// results are of no use: they may be half done. Whoever cannot even read what is half done asks
// Cancelled() between two steps; whoever hands a result on asks status().
class Context {
 public:
  // A computation that is alone in a pool and that nobody cancels.
  Context(TaskPool& pool) : pool_(&pool) {}  // NOLINT(google-explicit-constructor)
  // One of several in a pool; for the group's thread and its tasks.
  Context(TaskGroup& group, const Cancellation& cancellation)
      : pool_(&group.pool()), group_(&group), cancellation_(&cancellation) {}

  // The same computation on a GPU: its tensors are there, and loops over parts of tensors are whole
  // operations of the device instead, one after the other on the calling thread.
  Context OnGpu() const { return Moved(true); }
  // And back, for what only the host computes.
  Context OnHost() const { return Moved(false); }
  bool on_gpu() const { return on_gpu_; }

  // How many threads may take part in a loop.
  int threads() const { return pool_->threads(); }
  Workspace& workspace() const { return pool_->workspace(); }

  // As TaskPool::ParallelFor, until the computation is cancelled: ranges that have not begun by
  // then are left out.
  void ParallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t begin, int64_t end)>& body) const;

  // Calls body(i) for each of so many parts of tensors: in parallel, or one after the other on a
  // GPU, whose work goes into the calling thread's stream.
  void ForEach(int64_t count, const std::function<void(int64_t i)>& body) const;

  // Calls wait(), which waits for something else than threads: others have the calling one's place.
  void Rest(const std::function<void()>& wait) const;

  // Whether the computation has been cancelled. To be asked by every loop that takes more than some
  // 50 ms; in passing it gives way to other computations that wait for a thread.
  bool Cancelled() const {
    if (group_ != nullptr) group_->Yield();
    return cancellation_ != nullptr && cancellation_->Fired();
  }

  // OK, or why the computation has been cancelled.
  absl::Status status() const {
    return cancellation_ == nullptr ? absl::OkStatus() : cancellation_->status();
  }

 private:
  Context Moved(bool on_gpu) const {
    Context moved = *this;
    moved.on_gpu_ = on_gpu;
    return moved;
  }

  TaskPool* pool_;
  TaskGroup* group_ = nullptr;
  const Cancellation* cancellation_ = nullptr;
  bool on_gpu_ = false;
};

}  // namespace lossd

#endif  // LOSSD_BASE_CONTEXT_H_
