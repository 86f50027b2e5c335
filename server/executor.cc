#include "server/executor.h"

#include <pthread.h>

#include <optional>
#include <utility>

namespace lossd {

Executor::Executor(int threads, int max_queued)
    : threads_(static_cast<size_t>(threads)),
      capacity_(threads_ + static_cast<size_t>(max_queued)) {
  for (int i = 0; i < threads; ++i) workers_.emplace_back([this] { Work(/*small_ones=*/false); });
  workers_.emplace_back([this] { Work(/*small_ones=*/true); });
}

Executor::~Executor() { Refuse(); }

Executor::Admission Executor::Admit(Place& place) {
  const std::lock_guard lock(mutex_);
  const Admission admission = Decide();
  if (admission != Admission::kAccepted) return admission;
  ++taken_;
  place.reset(this);
  return admission;
}

Executor::Admission Executor::Outlook() const {
  const std::lock_guard lock(mutex_);
  return Decide();
}

Executor::Admission Executor::Decide() const {
  if (draining_) return Admission::kDraining;
  return taken_ == capacity_ ? Admission::kFull : Admission::kAccepted;
}

void Executor::Submit(Place place, const Share& share, absl::AnyInvocable<void()> job,
                      Ticket* ticket) {
  {
    const std::lock_guard lock(mutex_);
    const Ticket pushed = queue_.Push(
        share.client, share.cost,
        {.small = share.cost <= kSmallCost, .place = std::move(place), .job = std::move(job)});
    if (ticket != nullptr) *ticket = pushed;
  }
  // Not every one may take it.
  wake_.notify_all();
}

Executor::Turn Executor::TakeTurn() {
  const std::lock_guard lock(mutex_);
  if (running_ > 0 || !queue_.empty()) return nullptr;
  ++running_;
  return Turn(this);
}

void Executor::EndTurn() {
  const std::lock_guard lock(mutex_);
  if (--running_ == 0) queue_.Settle();
}

size_t Executor::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

bool Executor::Withdraw(Ticket ticket) {
  std::optional<Queued> withdrawn;  // It goes without the lock.
  const std::lock_guard lock(mutex_);
  withdrawn = queue_.Remove(ticket);
  return withdrawn.has_value();
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

void Executor::Work(bool small_ones) {
  pthread_setname_np(pthread_self(), "lossd-request");
  std::unique_lock lock(mutex_);
  for (;;) {
    std::optional<Queued> next;
    wake_.wait(lock, [&] {
      next = queue_.Take([small_ones](const Queued& job) { return job.small || !small_ones; });
      return next.has_value() || (draining_ && taken_ == 0);
    });
    if (!next.has_value()) return;
    ++running_;
    lock.unlock();
    next->job();
    next.reset();
    EndTurn();
    lock.lock();
  }
}

}  // namespace lossd
