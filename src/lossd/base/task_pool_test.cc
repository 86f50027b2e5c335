#include "lossd/base/task_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

namespace lossd {
namespace {

class TaskPoolTest : public testing::TestWithParam<int> {};

TEST_P(TaskPoolTest, CoversEveryIndexOnceInRangesOfAtMostGrain) {
  TaskPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  for (const int64_t count : {0, 1, 7, 64, 1000}) {
    for (const int64_t grain : {1, 3, 64, 5000}) {
      std::vector<int> visits(count, 0);
      std::atomic<bool> in_grain = true;
      pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
        if (end - begin > grain || begin % grain != 0) in_grain = false;
        for (int64_t i = begin; i < end; ++i) ++visits[i];
      });
      EXPECT_EQ(visits, std::vector<int>(count, 1)) << count << " by " << grain;
      EXPECT_TRUE(in_grain);
    }
  }
}

TEST_P(TaskPoolTest, NestedLoopsFinish) {
  TaskPool pool(GetParam());
  std::atomic<int64_t> sum = 0;
  pool.ParallelFor(20, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      pool.ParallelFor(50, 7, [&](int64_t from, int64_t to) { sum += to - from; });
    }
  });
  EXPECT_EQ(sum, 20 * 50);
}

TEST_P(TaskPoolTest, ServesManyCallersAtOnce) {
  TaskPool pool(GetParam());
  std::vector<int64_t> sums(8, 0);
  {
    std::vector<std::jthread> callers;
    for (int64_t& sum : sums) {
      callers.emplace_back([&pool, &sum] {
        for (int round = 0; round < 50; ++round) {
          std::vector<int64_t> values(100, 0);
          pool.ParallelFor(100, 9, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) values[i] = i;
          });
          sum += std::accumulate(values.begin(), values.end(), int64_t{0});
        }
      });
    }
  }
  EXPECT_EQ(sums, std::vector<int64_t>(8, 50 * 4950));
}

TEST_P(TaskPoolTest, WhatATaskThrowsReachesTheCallerAndThePoolGoesOn) {
  TaskPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    const auto out_of_memory = [&](int64_t begin, int64_t /*end*/) {
      if (begin % 3 == round % 3) throw std::bad_alloc();
    };
    EXPECT_THROW(pool.ParallelFor(100, 1, out_of_memory), std::bad_alloc);
    std::atomic<int64_t> visits = 0;
    pool.ParallelFor(100, 1, [&](int64_t begin, int64_t end) { visits += end - begin; });
    EXPECT_EQ(visits, 100);
  }
}

TEST_P(TaskPoolTest, GroupsTogetherTakeNoMoreThreadsThanThePoolHas) {
  TaskPool pool(GetParam());
  std::atomic<int> computing = 0;
  std::atomic<int> most = 0;
  std::atomic<int64_t> sum = 0;
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 8; ++caller) {
      callers.emplace_back([&] {
        for (int round = 0; round < 5; ++round) {
          TaskGroup group(pool);
          group.ParallelFor(4, 1, [&](int64_t /*begin*/, int64_t /*end*/) {
            group.ParallelFor(10, 3, [&](int64_t begin, int64_t end) {
              const int now = ++computing;
              for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
              }
              std::this_thread::sleep_for(std::chrono::microseconds(50));
              sum += end - begin;
              --computing;
            });
          });
        }
      });
    }
  }
  EXPECT_EQ(sum, 8 * 5 * 4 * 10);
  EXPECT_EQ(most, GetParam());
}

TEST_P(TaskPoolTest, AGroupGivesWayToOneThatWaits) {
  TaskPool pool(GetParam());
  std::atomic<bool> served = false;
  std::vector<std::jthread> long_ones;
  for (int caller = 0; caller < GetParam(); ++caller) {
    long_ones.emplace_back([&] {
      TaskGroup group(pool);
      // Ends in a minute, or when the other group has been served.
      for (int i = 0; i < 600 && !served; ++i) {
        group.ParallelFor(100, 1, [&](int64_t /*begin*/, int64_t /*end*/) {
          if (!served) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        });
      }
      EXPECT_TRUE(served);
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  TaskGroup group(pool);
  group.ParallelFor(10, 1, [&](int64_t /*begin*/, int64_t /*end*/) {});
  served = true;
}

// Small loops are not interrupted after each range: passing the thread on would take most of the
// time.
TEST(TaskGroupTest, GroupsTakeTurnsOfSomeLength) {
  constexpr int kRanges = 20000;
  TaskPool pool(1);
  std::atomic<int> last = -1;
  std::atomic<int> turns = 0;
  std::atomic<int> work = 0;
  std::latch there(3);
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 3; ++caller) {
      callers.emplace_back([&, caller] {
        there.arrive_and_wait();
        TaskGroup group(pool);
        group.ParallelFor(kRanges, 1, [&](int64_t /*begin*/, int64_t /*end*/) {
          if (last.exchange(caller) != caller) ++turns;
          for (int i = 0; i < 100; ++i) ++work;  // Some microseconds.
        });
      });
    }
  }
  EXPECT_LT(turns, kRanges / 10);
}

TEST(TaskGroupTest, WhoRestsLeavesItsPlaceToOthers) {
  TaskPool pool(1);
  TaskGroup group(pool);
  bool computed = false;
  group.Rest([&] {
    std::jthread([&] {
      const TaskGroup other(pool);
      computed = true;
    }).join();
  });
  EXPECT_TRUE(computed);
}

TEST(TaskGroupTest, WorkersHelpTheGroupWithTheLeastHelp) {
  TaskPool pool(4);
  // Two groups whose tasks last until each has two threads.
  std::atomic<int> in_group[2] = {0, 0};
  const auto balanced = [&] { return in_group[0] == 2 && in_group[1] == 2; };
  std::atomic<bool> done = false;
  const auto compute = [&](int g) {
    TaskGroup group(pool);
    group.ParallelFor(100000, 1, [&](int64_t /*begin*/, int64_t /*end*/) {
      if (done) return;
      ++in_group[g];
      for (int i = 0; i < 20 && !done; ++i) {
        if (balanced()) done = true;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      --in_group[g];
    });
  };
  const std::jthread first([&] { compute(0); });
  const std::jthread second([&] { compute(1); });
  for (int i = 0; i < 10000 && !done; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(done);
  done = true;
}

INSTANTIATE_TEST_SUITE_P(Threads, TaskPoolTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace lossd
