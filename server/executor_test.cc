#include "server/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace lossd {
namespace {

using Admission = Executor::Admission;

constexpr double kLarge = 2 * Executor::kSmallCost;

// Submits a job if there is a place for it.
template <typename Job>
Admission Submit(Executor& executor, const Executor::Share& share, Job job,
                 Executor::Ticket* ticket = nullptr) {
  Executor::Place place;
  const Admission admission = executor.Admit(place);
  if (admission == Admission::kAccepted) {
    executor.Submit(std::move(place), share, std::move(job), ticket);
  }
  return admission;
}

// A large one of a client that is the same for all.
template <typename Job>
Admission Submit(Executor& executor, Job job, Executor::Ticket* ticket = nullptr) {
  return Submit(executor, {.client = "a", .cost = kLarge}, std::move(job), ticket);
}

TEST(ExecutorTest, RunsJobsOnItsOwnThreadsInOrder) {
  std::vector<int> order;
  {
    Executor executor(1, 10);
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(Submit(executor,
                       [&order, i, caller = std::this_thread::get_id()] {
                         EXPECT_NE(std::this_thread::get_id(), caller);
                         order.push_back(i);
                       }),
                Admission::kAccepted);
    }
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(ExecutorTest, RunsAsManyJobsAtOnceAsItHasThreads) {
  std::latch all_run(3);
  Executor executor(3, 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Submit(executor, [&all_run] { all_run.arrive_and_wait(); }), Admission::kAccepted);
  }
  all_run.wait();
}

TEST(ExecutorTest, RefusesWhatDoesNotFitAndRecovers) {
  std::latch release(1);
  Executor executor(2, 1);
  const auto wait = [&release] { release.wait(); };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Submit(executor, wait), Admission::kAccepted);
  EXPECT_EQ(Submit(executor, [] { ADD_FAILURE() << "a refused job was run"; }), Admission::kFull);
  release.count_down();
  while (Submit(executor, [] {}) == Admission::kFull) std::this_thread::yield();
}

TEST(ExecutorTest, AWithdrawnJobNeverRunsAndLeavesItsPlace) {
  std::vector<int> order;
  {
    std::latch release(1);
    std::latch started(1);
    Executor executor(1, 2);
    Executor::Ticket running = 0;
    Submit(
        executor,
        [&] {
          started.count_down();
          release.wait();
        },
        &running);
    started.wait();
    Executor::Ticket first = 0;
    auto held = std::make_shared<int>(0);
    Submit(executor, [&order, copy = held] { order.push_back(1); }, &first);
    Submit(executor, [&order] { order.push_back(2); });
    EXPECT_EQ(Submit(executor, [] {}), Admission::kFull);

    EXPECT_FALSE(executor.Withdraw(running));
    EXPECT_TRUE(executor.Withdraw(first));
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_FALSE(executor.Withdraw(first));
    EXPECT_EQ(Submit(executor, [&order] { order.push_back(3); }), Admission::kAccepted);
    EXPECT_EQ(Submit(executor, [] {}), Admission::kFull);
    release.count_down();
  }
  EXPECT_EQ(order, (std::vector<int>{2, 3}));
}

TEST(ExecutorTest, DrainDoesNotWaitForWhatIsWithdrawn) {
  std::latch release(1);
  Executor executor(1, 1);
  Submit(executor, [&release] { release.wait(); });
  Executor::Ticket ticket = 0;
  Submit(executor, [] { ADD_FAILURE() << "a withdrawn job was run"; }, &ticket);
  EXPECT_FALSE(executor.Drain(absl::Milliseconds(10)));
  // Which of the two runs first is known: the other one is still in the queue.
  EXPECT_TRUE(executor.Withdraw(ticket));
  release.count_down();
  EXPECT_TRUE(executor.Drain(absl::Seconds(60)));
}

TEST(ExecutorTest, DrainFinishesAcceptedJobsAndRefusesNewOnes) {
  Executor executor(1, 10);
  std::atomic<int> done = 0;
  for (int i = 0; i < 5; ++i) Submit(executor, [&done] { ++done; });
  EXPECT_TRUE(executor.Drain(absl::Seconds(60)));
  EXPECT_EQ(done, 5);
  EXPECT_EQ(Submit(executor, [] {}), Admission::kDraining);
}

TEST(ExecutorTest, KeepsAPlaceForWhoeverHoldsIt) {
  Executor executor(1, 0);
  Executor::Place place;
  ASSERT_EQ(executor.Admit(place), Admission::kAccepted);
  EXPECT_EQ(executor.Outlook(), Admission::kFull);
  EXPECT_EQ(Submit(executor, [] {}), Admission::kFull);
  place.reset();
  EXPECT_EQ(executor.Outlook(), Admission::kAccepted);
  EXPECT_EQ(Submit(executor, [] {}), Admission::kAccepted);
}

TEST(ExecutorTest, DrainWaitsForTheJobsOfPlacesThatAreHeld) {
  Executor executor(2, 0);
  Executor::Place place;
  executor.Admit(place);
  EXPECT_FALSE(executor.Drain(absl::Milliseconds(10)));
  bool run = false;
  executor.Submit(std::move(place), {.client = "a", .cost = kLarge}, [&run] { run = true; });
  EXPECT_TRUE(executor.Drain(absl::Seconds(60)));
  EXPECT_TRUE(run);
}

TEST(ExecutorTest, DrainGivesUpAfterItsTimeout) {
  std::latch release(1);
  Executor executor(1, 0);
  Submit(executor, [&release] { release.wait(); });
  EXPECT_FALSE(executor.Drain(absl::Milliseconds(20)));
  release.count_down();
}

TEST(ExecutorTest, LetsGoOfAJobBeforeItCountsAsFinished) {
  Executor executor(1, 0);
  auto held = std::make_shared<int>(0);
  Submit(executor, [copy = held] {});
  EXPECT_TRUE(executor.Drain(absl::Seconds(60)));
  EXPECT_EQ(held.use_count(), 1);
}

TEST(ExecutorTest, TakesTurnsBetweenClients) {
  std::vector<std::string> order;
  {
    std::latch release(1);
    std::latch started(1);
    Executor executor(1, 10);
    Submit(executor, [&] {
      started.count_down();
      release.wait();
    });
    started.wait();
    const auto submit = [&](const std::string& client, double cost) {
      Submit(executor, {.client = client, .cost = cost},
             [&order, client] { order.push_back(client); });
    };
    for (int i = 0; i < 3; ++i) submit("greedy", kLarge);
    submit("b", kLarge);
    submit("c", 2 * kLarge);
    submit("c", kLarge);
    submit("b", kLarge);
    release.count_down();
  }
  EXPECT_EQ(order, (std::vector<std::string>{"greedy", "b", "c", "greedy", "b", "greedy", "c"}));
}

TEST(ExecutorTest, SmallJobsDoNotWaitForLargeOnes) {
  std::latch release(1);
  Executor executor(1, 10);
  for (int i = 0; i < 2; ++i) Submit(executor, [&release] { release.wait(); });
  std::latch done(1);
  Submit(executor, {.client = "a", .cost = Executor::kSmallCost}, [&done] { done.count_down(); });
  done.wait();
  release.count_down();
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
          const Admission admission = Submit(executor, [&run] { ++run; });
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
