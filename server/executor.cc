#include "server/executor.h"

#include <utility>

namespace lossd {

Executor::Executor(int threads, int max_queued)
    : capacity_(static_cast<size_t>(threads) + static_cast<size_t>(max_queued)) {
  for (int i = 0; i < threads; ++i) workers_.emplace_back([this] { Work(); });
}

Executor::~Executor() { Refuse(); }

Executor::Admission Executor::Submit(absl::AnyInvocable<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return Admission::kDraining;
    if (unfinished_ == capacity_) return Admission::kFull;
    ++unfinished_;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return Admission::kAccepted;
}

bool Executor::Drain(absl::Duration timeout) {
  Refuse();
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, absl::ToChronoMilliseconds(timeout),
                        [this] { return unfinished_ == 0; });
}

void Executor::Refuse() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  wake_.notify_all();
}

void Executor::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return draining_ || !queue_.empty(); });
    if (queue_.empty()) return;
    absl::AnyInvocable<void()> job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // What it holds goes before it counts as finished.
    lock.lock();
    if (--unfinished_ == 0) idle_.notify_all();
  }
}

}  // namespace lossd
