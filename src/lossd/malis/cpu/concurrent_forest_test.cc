#include "lossd/malis/cpu/concurrent_forest.h"

#include <gtest/gtest.h>

#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

#include "tests/oracle/cases.h"

namespace lossd {
namespace {

constexpr uint32_t kThrees = 100000;

// Two threads, kept side by side, join the last of each three elements to one of the others.
void JoinThrees(ConcurrentForest& forest) {
  constexpr uint32_t kAtATime = 100;
  std::barrier side_by_side(2);
  std::vector<std::jthread> threads;
  for (const uint32_t other : {0U, 1U}) {
    threads.emplace_back([&forest, &side_by_side, other] {
      for (uint32_t k = 0; k < kThrees; ++k) {
        if (k % kAtATime == 0) side_by_side.arrive_and_wait();
        forest.Join(3 * k + 2, 3 * k + other);
      }
    });
  }
}

// Now and then both do so at once, and the one that comes second must notice.
TEST(ConcurrentForestTest, LosesNoJoinOfThreadsThatMeet) {
  for (uint32_t round = 0; round < Cases(50); ++round) {
    ConcurrentForest forest(3 * kThrees);
    JoinThrees(forest);
    for (uint32_t a = 0; a < 3 * kThrees; ++a) {
      ASSERT_EQ(forest.Root(a), a / 3 * 3) << "round " << round << ", element " << a;
      ASSERT_EQ(forest.IsRoot(a), a % 3 == 0);
    }
  }
}

TEST(ConcurrentForestTest, JoinsNothingElse) {
  ConcurrentForest forest(6);
  forest.Join(5, 3);
  forest.Join(3, 5);
  forest.Join(1, 2);
  EXPECT_EQ(forest.Root(5), 3U);
  EXPECT_EQ(forest.Root(2), 1U);
  for (const uint32_t root : {0U, 1U, 3U, 4U}) EXPECT_TRUE(forest.IsRoot(root));
}

}  // namespace
}  // namespace lossd
