#include "lossd/base/task_pool.h"

#include <algorithm>
#include <atomic>
#include <exception>

namespace lossd {

// One ParallelFor. It outlives its call in the hands of a worker that finds nothing left to do,
// hence shared; `body` is only called while the caller waits.
struct TaskPool::Loop {
  const std::function<void(int64_t, int64_t)>& body;
  const int64_t count;
  const int64_t grain;
  const int64_t ranges;
  std::atomic<int64_t> taken = 0;
  std::atomic<int64_t> finished = 0;
  std::atomic<bool> failed = false;
  std::exception_ptr exception = nullptr;  // The first; to be read once all ranges have finished.

  bool Exhausted() const { return taken.load(std::memory_order_relaxed) >= ranges; }

  // Runs ranges until none is left.
  void Run() {
    for (;;) {
      const int64_t range = taken.fetch_add(1, std::memory_order_relaxed);
      if (range >= ranges) return;
      RunRange(range);
      if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 == ranges) finished.notify_all();
    }
  }

  void RunRange(int64_t range) {
    if (failed.load(std::memory_order_relaxed)) return;
    try {
      body(range * grain, std::min(count, (range + 1) * grain));
    } catch (...) {
      if (!failed.exchange(true)) exception = std::current_exception();
    }
  }

  void Wait() const {
    for (int64_t now = finished.load(std::memory_order_acquire); now < ranges;
         now = finished.load(std::memory_order_acquire)) {
      finished.wait(now, std::memory_order_acquire);
    }
  }
};

TaskPool::TaskPool(int threads) {
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
  }
}

TaskPool::~TaskPool() = default;

void TaskPool::ParallelFor(int64_t count, int64_t grain,
                           const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  if (workers_.empty() || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain) {
      body(begin, std::min(count, begin + grain));
    }
    return;
  }
  const auto loop = std::make_shared<Loop>(body, count, grain, (count + grain - 1) / grain);
  {
    const std::scoped_lock lock(mutex_);
    loops_.push_back(loop);
  }
  changed_.notify_all();
  loop->Run();
  {
    const std::scoped_lock lock(mutex_);
    std::erase(loops_, loop);
  }
  loop->Wait();
  if (loop->exception != nullptr) std::rethrow_exception(loop->exception);
}

void TaskPool::Work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    std::erase_if(loops_, [](const auto& loop) { return loop->Exhausted(); });
    if (!changed_.wait(lock, stop, [this] { return !loops_.empty(); })) return;
    // The newest loop: in nested loops, the one that holds the others up.
    const std::shared_ptr<Loop> loop = loops_.back();
    lock.unlock();
    loop->Run();
    lock.lock();
  }
}

}  // namespace lossd
