#ifndef SERVER_MEMORY_BUDGET_H_
#define SERVER_MEMORY_BUDGET_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/fair_queue.h"

namespace lossd {

// So many bytes, and those who wait for some of them. Who asks for what does not fit now is told
// later, fairly by bytes between clients (FairQueue). While the first of them does not fit, nobody
// passes it, so that it gets its turn, but for small ones, which have a part of the budget to
// themselves and so never delay it. Thread-safe.
class MemoryBudget {
 public:
  // Bytes of the budget that somebody has, until this goes. Outlived by the budget.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept { *this = std::move(other); }
    Reservation& operator=(Reservation&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      std::swap(small_, other.small_);
      return *this;
    }
    ~Reservation() { ReduceTo(0); }

    int64_t bytes() const { return bytes_; }

    // Gives back what is beyond that.
    void ReduceTo(int64_t bytes);

   private:
    friend class MemoryBudget;
    Reservation(MemoryBudget* budget, int64_t bytes, bool small)
        : budget_(budget), bytes_(bytes), small_(small) {}

    MemoryBudget* budget_ = nullptr;
    int64_t bytes_ = 0;
    bool small_ = false;
  };

  using Granted = absl::AnyInvocable<void(Reservation)>;
  // Names who waits; none is 0.
  using Ticket = uint64_t;

  // `make_room`, where given, is called before bytes are handed out, with these and the sum of all
  // that are, on any thread: others may keep memory that nobody has a use for.
  using MakeRoom = std::function<void(int64_t granted, int64_t reserved)>;
  explicit MemoryBudget(int64_t bytes, MakeRoom make_room = nullptr);

  // The most that anybody can get, small ones' part not included.
  int64_t largest() const { return bytes_ - for_small_; }

  // The bytes, at most largest(). Where they are not free, or others wait, nothing, and `granted`
  // is called with them later, on any thread; the ticket is written before.
  std::optional<Reservation> Reserve(const std::string& client, int64_t bytes, Granted granted,
                                     Ticket* ticket);

  // The bytes if they are free and nobody waits.
  std::optional<Reservation> TryReserve(int64_t bytes);

  // Whether somebody waited by that ticket, and no longer does; `granted` has gone, uncalled.
  bool Withdraw(Ticket ticket);

  // Bytes that are reserved, and how many wait.
  int64_t reserved() const;
  size_t waiting() const;

 private:
  struct Wait {
    uint64_t number;
    int64_t bytes;
    Granted granted;
  };
  // Somebody whose turn has come.
  struct Turn {
    Reservation reservation;
    Granted granted;
  };

  bool IsSmall(int64_t bytes) const { return bytes <= for_small_ / kSmallOnes; }

  // With mutex_ held.
  bool Fits(int64_t bytes, bool passing) const;
  Reservation Take(int64_t bytes);
  std::vector<Turn> TakeTurns();

  void Give(int64_t bytes, bool small);
  void HandOut(std::vector<Turn> turns, int64_t reserved) const;

  // Small ones' part, and how many of them it holds at least.
  static constexpr int64_t kShareOfSmall = 16;
  static constexpr int64_t kSmallOnes = 4;

  const int64_t bytes_;
  const int64_t for_small_;
  const MakeRoom make_room_;
  mutable std::mutex mutex_;
  int64_t small_ = 0;  // Reserved by small ones,
  int64_t large_ = 0;  // and by others.
  uint64_t last_number_ = 0;
  FairQueue<Wait> queue_;
};

}  // namespace lossd

#endif  // SERVER_MEMORY_BUDGET_H_
