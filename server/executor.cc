#include "server/executor.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace lossd {

Executor::Executor(int threads, int max_queued)
    : capacity_(static_cast<size_t>(threads) + static_cast<size_t>(max_queued)) {
  for (int i = 0; i < threads; ++i) workers_.emplace_back([this] { Work(); });
}

Executor::~Executor() { Refuse(); }

Executor::Admission Executor::Admit(Place& place) {
  const std::lock_guard lock(mutex_);
  if (draining_) return Admission::kDraining;
  if (taken_ == capacity_) return Admission::kFull;
  ++taken_;
  place.reset(this);
  return Admission::kAccepted;
}

void Executor::Submit(Place place, absl::AnyInvocable<void()> job, Ticket* ticket) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({.ticket = ++last_ticket_, .place = std::move(place), .job = std::move(job)});
    if (ticket != nullptr) *ticket = last_ticket_;
  }
  wake_.notify_one();
}

bool Executor::Withdraw(Ticket ticket) {
  std::list<Queued> withdrawn;  // It goes without the lock.
  const std::lock_guard lock(mutex_);
  const auto queued = std::find_if(queue_.begin(), queue_.end(),
                                   [&](const Queued& each) { return each.ticket == ticket; });
  if (queued == queue_.end()) return false;
  withdrawn.splice(withdrawn.begin(), queue_, queued);
  return true;
}

bool Executor::Drain(absl::Duration timeout) {
  Refuse();
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, absl::ToChronoMilliseconds(timeout), [this] { return taken_ == 0; });
}

void Executor::Refuse() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  wake_.notify_all();
}

void Executor::LeavePlace() {
  const std::lock_guard lock(mutex_);
  if (--taken_ > 0) return;
  idle_.notify_all();
  if (draining_) wake_.notify_all();
}

void Executor::Work() {
  pthread_setname_np(pthread_self(), "lossd-request");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !queue_.empty() || (draining_ && taken_ == 0); });
    if (queue_.empty()) return;
    {
      Queued next = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      next.job();
    }
    lock.lock();
  }
}

}  // namespace lossd
