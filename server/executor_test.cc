#include "server/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

namespace lossd {
namespace {

using Admission = Executor::Admission;

TEST(ExecutorTest, RunsJobsOnItsOwnThreadsInOrder) {
  std::vector<int> order;
  {
    Executor executor(1, 10);
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(executor.Submit([&order, i, caller = std::this_thread::get_id()] {
        EXPECT_NE(std::this_thread::get_id(), caller);
        order.push_back(i);
      }),
                Admission::kAccepted);
    }
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(ExecutorTest, RunsAsManyJobsAtOnceAsItHasThreads) {
  Executor executor(3, 0);
  std::latch all_run(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(executor.Submit([&all_run] { all_run.arrive_and_wait(); }), Admission::kAccepted);
  }
  all_run.wait();
}

TEST(ExecutorTest, RefusesWhatDoesNotFitAndRecovers) {
  Executor executor(2, 1);
  std::latch release(1);
  const auto wait = [&release] { release.wait(); };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(executor.Submit(wait), Admission::kAccepted);
  EXPECT_EQ(executor.Submit([] { ADD_FAILURE() << "a refused job was run"; }), Admission::kFull);
  release.count_down();
  while (executor.Submit([] {}) == Admission::kFull) std::this_thread::yield();
}

TEST(ExecutorTest, AWithdrawnJobNeverRunsAndLeavesItsPlace) {
  std::vector<int> order;
  {
    Executor executor(1, 2);
    std::latch release(1);
    Executor::Ticket running = 0;
    std::latch started(1);
    executor.Submit(
        [&] {
          started.count_down();
          release.wait();
        },
        &running);
    started.wait();
    Executor::Ticket first = 0;
    auto held = std::make_shared<int>(0);
    executor.Submit([&order, copy = held] { order.push_back(1); }, &first);
    executor.Submit([&order] { order.push_back(2); });
    EXPECT_EQ(executor.Submit([] {}), Admission::kFull);

    EXPECT_FALSE(executor.Withdraw(running));
    EXPECT_TRUE(executor.Withdraw(first));
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_FALSE(executor.Withdraw(first));
    EXPECT_EQ(executor.Submit([&order] { order.push_back(3); }), Admission::kAccepted);
    EXPECT_EQ(executor.Submit([] {}), Admission::kFull);
    release.count_down();
  }
  EXPECT_EQ(order, (std::vector<int>{2, 3}));
}

TEST(ExecutorTest, DrainDoesNotWaitForWhatIsWithdrawn) {
  Executor executor(1, 1);
  std::latch release(1);
  executor.Submit([&release] { release.wait(); });
  Executor::Ticket ticket = 0;
  executor.Submit([] { ADD_FAILURE() << "a withdrawn job was run"; }, &ticket);
  EXPECT_FALSE(executor.Drain(absl::Milliseconds(10)));
  // Which of the two runs first is known: the other one is still in the queue.
  EXPECT_TRUE(executor.Withdraw(ticket));
  release.count_down();
  EXPECT_TRUE(executor.Drain(absl::Seconds(60)));
}

TEST(ExecutorTest, DrainFinishesAcceptedJobsAndRefusesNewOnes) {
  Executor executor(1, 10);
  std::atomic<int> done = 0;
  for (int i = 0; i < 5; ++i) executor.Submit([&done] { ++done; });
  EXPECT_TRUE(executor.Drain(absl::Seconds(60)));
  EXPECT_EQ(done, 5);
  EXPECT_EQ(executor.Submit([] {}), Admission::kDraining);
}

TEST(ExecutorTest, DrainGivesUpAfterItsTimeout) {
  Executor executor(1, 0);
  std::latch release(1);
  executor.Submit([&release] { release.wait(); });
  EXPECT_FALSE(executor.Drain(absl::Milliseconds(20)));
  release.count_down();
}

TEST(ExecutorTest, LetsGoOfAJobBeforeItCountsAsFinished) {
  Executor executor(1, 0);
  auto held = std::make_shared<int>(0);
  executor.Submit([copy = held] {});
  EXPECT_TRUE(executor.Drain(absl::Seconds(60)));
  EXPECT_EQ(held.use_count(), 1);
}

TEST(ExecutorTest, TakesJobsFromManyThreads) {
  std::atomic<int> accepted = 0;
  std::atomic<int> run = 0;
  {
    Executor executor(3, 5);
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 8; ++caller) {
      callers.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          const Admission admission = executor.Submit([&run] { ++run; });
          if (admission == Admission::kAccepted) ++accepted;
        }
      });
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_EQ(run, accepted);
}

}  // namespace
}  // namespace lossd
