#include "server/memory_budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lossd {
namespace {

using Reservation = MemoryBudget::Reservation;

constexpr int64_t kBudget = 1600;  // Of which 100 are for small ones, of 25 at most.

// Asks for bytes, and waits for them.
class Caller {
 public:
  Caller(MemoryBudget& budget, const std::string& client, int64_t bytes)
      : budget_(budget),
        reservation_(budget.Reserve(
            client, bytes, [this](Reservation later) { reservation_ = std::move(later); },
            &ticket_)) {}

  bool HasIt() const { return reservation_.has_value(); }
  void Leave() { reservation_.reset(); }
  bool Withdraw() { return budget_.Withdraw(ticket_); }

 private:
  MemoryBudget& budget_;
  MemoryBudget::Ticket ticket_ = 0;
  std::optional<Reservation> reservation_;
};

TEST(MemoryBudgetTest, GivesWhatFitsAndTheRestLater) {
  MemoryBudget budget(kBudget);
  Caller first(budget, "a", 1000);
  EXPECT_TRUE(first.HasIt());
  EXPECT_EQ(budget.reserved(), 1000);
  Caller second(budget, "a", 600);
  EXPECT_FALSE(second.HasIt());
  EXPECT_EQ(budget.waiting(), 1);
  EXPECT_EQ(budget.TryReserve(50), std::nullopt);  // Others wait.
  first.Leave();
  EXPECT_TRUE(second.HasIt());
  EXPECT_EQ(budget.reserved(), 600);
  EXPECT_TRUE(budget.TryReserve(900).has_value());
  EXPECT_FALSE(budget.TryReserve(901).has_value());
}

TEST(MemoryBudgetTest, NobodyPassesTheFirstButSmallOnes) {
  MemoryBudget budget(kBudget);
  Caller holder(budget, "a", 1000);
  Caller large(budget, "a", 1500);
  Caller passer(budget, "a", 30);
  EXPECT_FALSE(passer.HasIt());
  std::deque<Caller> small;
  for (int i = 0; i < 5; ++i) small.emplace_back(budget, "a", 25);
  EXPECT_TRUE(small[3].HasIt());
  EXPECT_FALSE(small[4].HasIt());
  // What they have is theirs: the large one need not wait for them.
  EXPECT_EQ(budget.largest(), 1500);
  EXPECT_TRUE(passer.Withdraw());
  holder.Leave();
  EXPECT_TRUE(large.HasIt());
  EXPECT_FALSE(small[4].HasIt());
  small[0].Leave();
  EXPECT_TRUE(small[4].HasIt());
}

TEST(MemoryBudgetTest, SmallOnesAreNotStuckBehindOneThatHasAll) {
  MemoryBudget budget(kBudget);
  Caller giant(budget, "a", budget.largest());
  ASSERT_TRUE(giant.HasIt());
  Caller small(budget, "a", 20);
  EXPECT_TRUE(small.HasIt());
}

TEST(MemoryBudgetTest, IsFairBetweenClients) {
  MemoryBudget budget(kBudget);
  Caller holder(budget, "greedy", 1500);
  std::deque<Caller> greedy;
  for (int i = 0; i < 5; ++i) greedy.emplace_back(budget, "greedy", 1500);
  Caller other(budget, "other", 1500);
  holder.Leave();
  EXPECT_TRUE(other.HasIt());
  EXPECT_FALSE(greedy[0].HasIt());
  other.Leave();
  EXPECT_TRUE(greedy[0].HasIt());
}

TEST(MemoryBudgetTest, WhoIsWithdrawnMakesWayAndIsNeverTold) {
  MemoryBudget budget(kBudget);
  Caller holder(budget, "a", 1000);
  Caller first(budget, "a", 1400);
  Caller second(budget, "a", 500);
  EXPECT_FALSE(second.HasIt());
  EXPECT_TRUE(first.Withdraw());
  EXPECT_FALSE(first.Withdraw());
  EXPECT_TRUE(second.HasIt());
  holder.Leave();
  EXPECT_FALSE(first.HasIt());
}

TEST(MemoryBudgetTest, TakesBackInParts) {
  MemoryBudget budget(kBudget);
  std::optional<Reservation> reservation = budget.TryReserve(1400);
  ASSERT_TRUE(reservation.has_value());
  Caller waiting(budget, "b", 700);
  reservation->ReduceTo(800);
  EXPECT_TRUE(waiting.HasIt());
  reservation->ReduceTo(1000);
  EXPECT_EQ(reservation->bytes(), 800);
  EXPECT_EQ(budget.reserved(), 1500);
}

TEST(MemoryBudgetTest, HasRoomMadeForWhatItGives) {
  std::vector<int64_t> given;
  std::vector<int64_t> sums;
  MemoryBudget budget(kBudget, [&](int64_t granted, int64_t reserved) {
    given.push_back(granted);
    sums.push_back(reserved);
  });
  Caller first(budget, "a", 1000);
  Caller second(budget, "a", 900);
  first.Leave();
  EXPECT_EQ(sums, (std::vector<int64_t>{1000, 900}));
  EXPECT_EQ(given, sums);
}

// Against a model: random clients, sizes, ends and withdrawals.
class MemoryBudgetPropertyTest : public testing::TestWithParam<int> {};

TEST_P(MemoryBudgetPropertyTest, NeverExceedsItselfNorForgetsAnybody) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto draw = [&random](int most) { return static_cast<int>(random() % most); };
  struct Call {
    explicit Call(int64_t size) : bytes(size) {}
    const int64_t bytes;
    int granted = 0;
    bool withdrawn = false;
    MemoryBudget::Ticket ticket = 0;
    std::optional<Reservation> reservation;
  };
  MemoryBudget budget(kBudget);
  std::vector<std::unique_ptr<Call>> calls;
  const auto end_one = [&] {
    for (const auto& call : calls) {
      if (!call->reservation.has_value()) continue;
      call->reservation.reset();
      return true;
    }
    return false;
  };
  for (int step = 0; step < 2000; ++step) {
    const int what = draw(10);
    if (what < 5) {
      Call* const call =
          calls.emplace_back(std::make_unique<Call>(draw(3) == 0 ? draw(25) + 1 : draw(1500) + 1))
              .get();
      call->reservation = budget.Reserve(
          std::to_string(draw(4)), call->bytes,
          [call](Reservation later) {
            call->reservation = std::move(later);
            ++call->granted;
          },
          &call->ticket);
      if (call->reservation.has_value()) ++call->granted;
    } else if (what < 9) {
      end_one();
    } else if (!calls.empty()) {
      Call& call = *calls[static_cast<size_t>(draw(static_cast<int>(calls.size())))];
      const bool waits = call.granted == 0 && !call.withdrawn;
      ASSERT_EQ(budget.Withdraw(call.ticket), waits);
      call.withdrawn |= waits;
    }
    int64_t held = 0;
    for (const auto& call : calls) {
      if (call->reservation.has_value()) held += call->reservation->bytes();
    }
    ASSERT_EQ(budget.reserved(), held);
    ASSERT_LE(held, kBudget);
    ASSERT_TRUE(held > 0 || budget.waiting() == 0);
  }
  while (end_one()) {
  }
  for (const auto& call : calls) {
    ASSERT_EQ(call->granted, call->withdrawn ? 0 : 1);
  }
  EXPECT_EQ(budget.reserved(), 0);
}

INSTANTIATE_TEST_SUITE_P(Random, MemoryBudgetPropertyTest, testing::Range(0, 20));

TEST(MemoryBudgetTest, ThreadsMayShareIt) {
  MemoryBudget budget(kBudget);
  std::atomic<int> granted = 0;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&budget, &granted, thread] {
      for (int i = 0; i < 500; ++i) {
        MemoryBudget::Ticket ticket = 0;
        // Nobody else knows of what is granted later: it goes at once.
        if (budget.Reserve(
                std::to_string(thread), 1 + i * 37 % 1500,
                [&granted](const Reservation&) { ++granted; }, &ticket)) {
          ++granted;
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(granted, 2000);
  EXPECT_EQ(budget.reserved(), 0);
}

}  // namespace
}  // namespace lossd
