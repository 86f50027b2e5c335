#include "lossd/base/task_pool.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "absl/cleanup/cleanup.h"

namespace lossd {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread computes before it gives way: to pass a place on takes longer than the ranges
// of small loops, so that computations that did it after each would hardly do anything else.
constexpr std::chrono::milliseconds kTurn{1};

// When the calling thread got the place that it has, since the clock's epoch.
thread_local Clock::rep turn_begin = 0;

void BeginTurn() { turn_begin = Clock::now().time_since_epoch().count(); }

bool TurnIsOver() { return Clock::now().time_since_epoch() - Clock::duration(turn_begin) >= kTurn; }

}  // namespace

// One ParallelFor. It outlives its call in the hands of a worker that finds nothing left to do,
// hence shared; `body` is only called while the caller waits.
struct TaskPool::Loop {
  TaskGroup* const group;
  const std::function<void(int64_t, int64_t)>& body;
  const int64_t count;
  const int64_t grain;
  const int64_t ranges;
  std::atomic<int64_t> taken = 0;
  std::atomic<int64_t> finished = 0;
  std::atomic<bool> failed = false;
  std::atomic<bool> helped_enough = false;  // Workers shall look whether others need them more.
  std::exception_ptr exception = nullptr;   // The first; to be read once all ranges have finished.

  bool Exhausted() const { return taken.load(std::memory_order_relaxed) >= ranges; }
  bool Finished() const { return finished.load(std::memory_order_acquire) == ranges; }

  // Runs ranges until none is left or, asked after each, go_on() is false.
  template <typename GoOn>
  void Run(const GoOn& go_on) {
    do {
      const int64_t range = taken.fetch_add(1, std::memory_order_relaxed);
      if (range >= ranges) return;
      RunRange(range);
      if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 == ranges) finished.notify_all();
    } while (go_on());
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

TaskPool::TaskPool(int threads) : threads_(threads) {
  for (int i = 1; i < threads; ++i) {
    workers_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
  }
}

TaskPool::~TaskPool() = default;

void TaskPool::Run(TaskGroup* group, int64_t count, int64_t grain,
                   const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  if (workers_.empty() || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain) {
      body(begin, std::min(count, begin + grain));
      if (group != nullptr) Yield();
    }
    return;
  }
  const auto loop = std::make_shared<Loop>(group, body, count, grain, (count + grain - 1) / grain);
  {
    const std::scoped_lock lock(mutex_);
    if (group != nullptr && group->helpers_ == 0) {
      for (const std::shared_ptr<Loop>& other : loops_) {
        if (other->group != group) other->helped_enough.store(true, std::memory_order_relaxed);
      }
    }
    loops_.push_back(loop);
  }
  work_.notify_all();
  loop->Run([&] {
    if (group != nullptr) Yield();
    return true;
  });
  {
    const std::scoped_lock lock(mutex_);
    std::erase(loops_, loop);
  }
  if (!loop->Finished()) {
    // Another thread may compute while this one waits.
    if (group != nullptr) LeavePlace();
    loop->Wait();
    if (group != nullptr) {
      std::unique_lock lock(mutex_);
      TakePlace(lock);
    }
  }
  if (loop->exception != nullptr) std::rethrow_exception(loop->exception);
}

void TaskPool::Work(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "lossd-worker");
  std::unique_lock lock(mutex_);
  for (;;) {
    std::shared_ptr<Loop> loop;
    const auto found = [&] { return (loop = Pick()) != nullptr; };
    if (!work_.wait(lock, stop, found)) return;
    ++taken_;
    BeginTurn();
    if (loop->group != nullptr) ++loop->group->helpers_;
    loop->helped_enough.store(false, std::memory_order_relaxed);
    lock.unlock();
    loop->Run(
        [&] { return !SomebodyWaits() && !loop->helped_enough.load(std::memory_order_relaxed); });
    lock.lock();
    if (loop->group != nullptr) --loop->group->helpers_;
    --taken_;
    place_.notify_all();
  }
}

std::shared_ptr<TaskPool::Loop> TaskPool::Pick() const {
  if (taken_ >= threads_ || SomebodyWaits()) return nullptr;
  const auto helpers = [](const Loop& loop) {
    return loop.group == nullptr ? 0 : loop.group->helpers_;
  };
  std::shared_ptr<Loop> best;
  for (const std::shared_ptr<Loop>& loop : loops_) {
    if (loop->Exhausted()) continue;
    // Of one group's loops the newest: in nested loops, the one that holds the others up.
    if (best == nullptr || loop->group == best->group || helpers(*loop) < helpers(*best)) {
      best = loop;
    }
  }
  return best;
}

void TaskPool::TakePlace(std::unique_lock<std::mutex>& lock) {
  if (taken_ >= threads_ || SomebodyWaits()) {
    const uint64_t turn = came_++;
    waiting_.store(came_ - served_, std::memory_order_relaxed);
    place_.wait(lock, [&] { return taken_ < threads_ && served_ == turn; });
    ++served_;
    waiting_.store(came_ - served_, std::memory_order_relaxed);
    // There may be a place for the next one, too, or else for a worker.
    place_.notify_all();
    work_.notify_all();
  }
  ++taken_;
  BeginTurn();
}

void TaskPool::LeavePlace() {
  bool work = false;
  {
    const std::scoped_lock lock(mutex_);
    --taken_;
    work = !loops_.empty();
  }
  if (SomebodyWaits()) place_.notify_all();
  if (work) work_.notify_all();
}

void TaskPool::Yield() {
  if (!SomebodyWaits() || !TurnIsOver()) return;
  std::unique_lock lock(mutex_);
  --taken_;
  place_.notify_all();
  TakePlace(lock);
}

TaskGroup::TaskGroup(TaskPool& pool) : pool_(pool) {
  std::unique_lock lock(pool_.mutex_);
  pool_.TakePlace(lock);
}

void TaskGroup::Rest(const std::function<void()>& wait) {
  pool_.LeavePlace();
  const absl::Cleanup return_to_place = [this] {
    std::unique_lock lock(pool_.mutex_);
    pool_.TakePlace(lock);
  };
  wait();
}

TaskGroup::~TaskGroup() {
  pool_.LeavePlace();
  // A worker may still be on its way out of the last loop.
  std::unique_lock lock(pool_.mutex_);
  pool_.place_.wait(lock, [this] { return helpers_ == 0; });
}

}  // namespace lossd
