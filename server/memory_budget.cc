#include "server/memory_budget.h"

namespace lossd {

MemoryBudget::MemoryBudget(int64_t bytes, MakeRoom make_room)
    : bytes_(bytes), for_small_(bytes / kShareOfSmall), make_room_(std::move(make_room)) {}

void MemoryBudget::Reservation::ReduceTo(int64_t bytes) {
  if (bytes >= bytes_) return;
  budget_->Give(std::exchange(bytes_, bytes) - bytes, small_);
}

std::optional<MemoryBudget::Reservation> MemoryBudget::Reserve(const std::string& client,
                                                               int64_t bytes, Granted granted,
                                                               Ticket* ticket) {
  std::optional<Reservation> reservation;
  int64_t reserved = 0;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t number = ++last_number_;
    *ticket = queue_.Push(client, static_cast<double>(bytes),
                          {.number = number, .bytes = bytes, .granted = std::move(granted)});
    bool passing = false;
    const std::optional<Wait> own = queue_.Take([&](const Wait& wait) {
      const bool goes = wait.number == number && Fits(bytes, passing);
      passing = true;
      return goes;
    });
    if (!own.has_value()) return std::nullopt;
    reservation = Take(bytes);
    reserved = small_ + large_;
  }
  if (make_room_ != nullptr) make_room_(bytes, reserved);
  return reservation;
}

std::optional<MemoryBudget::Reservation> MemoryBudget::TryReserve(int64_t bytes) {
  std::optional<Reservation> reservation;
  int64_t reserved = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!queue_.empty() || !Fits(bytes, /*passing=*/false)) return std::nullopt;
    reservation = Take(bytes);
    reserved = small_ + large_;
  }
  if (make_room_ != nullptr) make_room_(bytes, reserved);
  return reservation;
}

bool MemoryBudget::Withdraw(Ticket ticket) {
  std::optional<Wait> withdrawn;  // It goes without the lock.
  std::vector<Turn> turns;
  int64_t reserved = 0;
  {
    const std::lock_guard lock(mutex_);
    withdrawn = queue_.Remove(ticket);
    // Others may have waited behind it.
    if (withdrawn.has_value()) turns = TakeTurns();
    reserved = small_ + large_;
  }
  HandOut(std::move(turns), reserved);
  return withdrawn.has_value();
}

int64_t MemoryBudget::reserved() const {
  const std::lock_guard lock(mutex_);
  return small_ + large_;
}

size_t MemoryBudget::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

bool MemoryBudget::Fits(int64_t bytes, bool passing) const {
  if (bytes > bytes_ - small_ - large_) return false;
  if (!IsSmall(bytes)) return bytes <= largest() - large_ && !passing;
  return !passing || bytes <= for_small_ - small_;
}

MemoryBudget::Reservation MemoryBudget::Take(int64_t bytes) {
  const bool small = IsSmall(bytes);
  (small ? small_ : large_) += bytes;
  return {this, bytes, small};
}

std::vector<MemoryBudget::Turn> MemoryBudget::TakeTurns() {
  std::vector<Turn> turns;
  for (;;) {
    bool passing = false;
    std::optional<Wait> next = queue_.Take([&](const Wait& wait) {
      const bool fits = Fits(wait.bytes, passing);
      passing = true;
      return fits;
    });
    if (!next.has_value()) return turns;
    turns.push_back({.reservation = Take(next->bytes), .granted = std::move(next->granted)});
  }
}

void MemoryBudget::Give(int64_t bytes, bool small) {
  std::vector<Turn> turns;
  int64_t reserved = 0;
  {
    const std::lock_guard lock(mutex_);
    (small ? small_ : large_) -= bytes;
    turns = TakeTurns();
    reserved = small_ + large_;
    if (reserved == 0) queue_.Settle();
  }
  HandOut(std::move(turns), reserved);
}

void MemoryBudget::HandOut(std::vector<Turn> turns, int64_t reserved) const {
  if (turns.empty()) return;
  int64_t granted = 0;
  for (const Turn& turn : turns) granted += turn.reservation.bytes();
  if (make_room_ != nullptr) make_room_(granted, reserved);
  for (Turn& turn : turns) turn.granted(std::move(turn.reservation));
}

}  // namespace lossd
