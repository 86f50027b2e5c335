#include "server/fair_queue.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace lossd {
namespace {

constexpr auto kAny = [](const auto&) { return true; };

TEST(FairQueueTest, ServesWhoHasHadLeast) {
  FairQueue<std::string> queue;
  for (const char* item : {"a1", "a2", "a3"}) queue.Push("a", 10, item);
  for (const char* item : {"b1", "b2", "b3", "b4"}) queue.Push("b", 5, item);
  std::vector<std::string> order;
  while (const auto item = queue.Take(kAny)) order.push_back(*item);
  EXPECT_EQ(order, (std::vector<std::string>{"a1", "b1", "b2", "a2", "b3", "b4", "a3"}));
}

TEST(FairQueueTest, GivesNoCreditForHavingBeenAway) {
  FairQueue<std::string> queue;
  for (int i = 0; i < 100; ++i) {
    queue.Push("a", 1, "a");
    queue.Take(kAny);
  }
  for (int i = 0; i < 3; ++i) queue.Push("a", 1, "a");
  for (int i = 0; i < 3; ++i) queue.Push("b", 1, "b");
  std::string order;
  while (const auto item = queue.Take(kAny)) order += *item;
  EXPECT_EQ(order, "bababa");
}

TEST(FairQueueTest, ChargesNothingForWhatIsTakenBack) {
  FairQueue<std::string> queue;
  const auto giant = queue.Push("a", 1000, "giant");
  queue.Push("a", 1, "a");
  queue.Push("b", 1, "b1");
  queue.Push("b", 1, "b2");
  EXPECT_EQ(queue.Remove(giant), "giant");
  EXPECT_EQ(queue.Remove(giant), std::nullopt);
  EXPECT_EQ(queue.size(), 3);
  std::string order;
  while (const auto item = queue.Take(kAny)) order += *item + " ";
  EXPECT_EQ(order, "a b1 b2 ");
}

TEST(FairQueueTest, TakesTheFirstThatMayGo) {
  FairQueue<int> queue;
  queue.Push("a", 1, 1);
  queue.Push("a", 1, 2);
  queue.Push("b", 1, 3);
  EXPECT_EQ(queue.Take([](int item) { return item > 1; }), 2);
  EXPECT_EQ(queue.Take([](int item) { return item > 3; }), std::nullopt);
  EXPECT_EQ(queue.size(), 2);
}

TEST(FairQueueTest, ForgetsDebtsWhenThereWasEnough) {
  FairQueue<std::string> queue;
  queue.Push("a", 1000, "giant");
  queue.Take(kAny);
  queue.Settle();
  queue.Push("a", 1, "a");
  queue.Push("b", 1, "b");
  EXPECT_EQ(queue.Take(kAny), "a");
}

// Against a model: random arrivals, costs and withdrawals of clients, one served at a time.
class FairQueuePropertyTest : public testing::TestWithParam<int> {};

TEST_P(FairQueuePropertyTest, LosesNothingAndIsFair) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto draw = [&random](int most) { return static_cast<int>(random() % most); };
  constexpr int kClients = 5;
  constexpr double kMostCost = 100;
  struct Item {
    int client;
    int number;
    double cost;
  };
  FairQueue<Item> queue;
  std::map<int, std::vector<std::pair<uint64_t, Item>>> waiting;  // By client, in order.
  // What each client has been given since two of them began to wait without a break.
  std::map<std::pair<int, int>, std::pair<double, double>> given;
  int pushed = 0;
  int left = 0;
  for (int step = 0; step < 4000; ++step) {
    const int what = draw(10);
    if (what < 5) {
      // Some ask for much more than others.
      const int client = draw(3) > 0 ? 0 : draw(kClients);
      const Item item = {.client = client, .number = pushed++, .cost = draw(100) + 1.0};
      waiting[client].emplace_back(queue.Push(std::to_string(client), item.cost, item), item);
    } else if (what < 9) {
      const auto item = queue.Take(kAny);
      if (!item.has_value()) {
        for (const auto& [client, items] : waiting) ASSERT_TRUE(items.empty());
        continue;
      }
      auto& own = waiting[item->client];
      ASSERT_FALSE(own.empty());
      ASSERT_EQ(own.front().second.number, item->number);
      own.erase(own.begin());
      ++left;
      for (auto& [pair, costs] : given) {
        if (pair.first == item->client) costs.first += item->cost;
        if (pair.second == item->client) costs.second += item->cost;
      }
    } else {
      auto& own = waiting[draw(kClients)];
      if (own.empty()) continue;
      const auto which = own.begin() + draw(static_cast<int>(own.size()));
      ASSERT_TRUE(queue.Remove(which->first).has_value());
      ASSERT_FALSE(queue.Remove(which->first).has_value());
      own.erase(which);
      ++left;
    }
    for (int a = 0; a < kClients; ++a) {
      for (int b = a + 1; b < kClients; ++b) {
        if (waiting[a].empty() || waiting[b].empty()) {
          given.erase({a, b});
          continue;
        }
        const auto [one, other] = given[{a, b}];
        ASSERT_LE(std::abs(one - other), 2 * kMostCost) << "clients " << a << " and " << b;
      }
    }
  }
  size_t still = 0;
  for (const auto& [client, items] : waiting) still += items.size();
  EXPECT_EQ(queue.size(), still);
  EXPECT_EQ(pushed, left + static_cast<int>(still));
}

INSTANTIATE_TEST_SUITE_P(Random, FairQueuePropertyTest, testing::Range(0, 20));

}  // namespace
}  // namespace lossd
