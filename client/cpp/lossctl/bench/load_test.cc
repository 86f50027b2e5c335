#include "lossctl/bench/load.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/barrier.h"
#include "absl/time/clock.h"

namespace lossd {
namespace {

constexpr absl::Duration kCall = absl::Milliseconds(20);

absl::StatusOr<Result> SleepAWhile() {
  absl::SleepFor(kCall);
  return Result();
}

TEST(LoadTest, SendsSoManyRequests) {
  std::atomic<int> calls = 0;
  const auto call = [&calls] {
    ++calls;
    return SleepAWhile();
  };
  Load load(call, {.concurrency = 2, .requests = 5});
  const absl::StatusOr<Window> window = load.NextWindow(absl::ZeroDuration(), 5);
  ASSERT_TRUE(window.ok());
  EXPECT_EQ(window->samples.size(), 5);
  EXPECT_EQ(calls, 5);
  EXPECT_GE(window->length, 3 * kCall) << "two at a time";
  for (const Sample& sample : window->samples) EXPECT_GE(sample.latency, kCall);
}

// They wait for each other.
TEST(LoadTest, SendsThemAtTheSameTime) {
  auto* const barrier = new absl::Barrier(3);
  const auto call = [barrier]() -> absl::StatusOr<Result> {
    if (barrier->Block()) delete barrier;
    return Result();
  };
  Load load(call, {.concurrency = 3, .requests = 3});
  EXPECT_EQ(load.NextWindow(absl::ZeroDuration(), 3)->samples.size(), 3);
}

TEST(LoadTest, CutsTimeIntoWindows) {
  Load load(SleepAWhile, {.concurrency = 1});
  const absl::StatusOr<Window> first = load.NextWindow(5 * kCall, 1);
  EXPECT_GE(first->length, 5 * kCall);
  EXPECT_GE(first->samples.size(), 1);
  EXPECT_LE(first->samples.size(), 6);
  const absl::StatusOr<Window> second = load.NextWindow(absl::ZeroDuration(), 4);
  EXPECT_GE(second->samples.size(), 4) << "longer, for enough requests";
  EXPECT_GE(second->length, 2 * kCall);
}

TEST(LoadTest, KeepsToARate) {
  const auto call = []() -> absl::StatusOr<Result> { return Result(); };
  Load load(call, {.concurrency = 4, .rate = 100, .requests = 11});
  const absl::StatusOr<Window> window = load.NextWindow(absl::ZeroDuration(), 11);
  EXPECT_GE(window->length, absl::Milliseconds(100));
  EXPECT_LT(window->length, absl::Seconds(2));
}

// Where the server is slower than the rate, what waits for its turn counts.
TEST(LoadTest, CountsLatencyFromWhenARequestWasDue) {
  Load load(SleepAWhile, {.concurrency = 1, .rate = 1000, .requests = 10});
  const absl::StatusOr<Window> window = load.NextWindow(absl::ZeroDuration(), 10);
  EXPECT_GE(window->samples.back().latency, 9 * kCall);
}

TEST(LoadTest, EndsWithTheFirstError) {
  std::atomic<int> calls = 0;
  const auto call = [&calls]() -> absl::StatusOr<Result> {
    if (++calls == 3) return absl::DataLossError("lost");
    return Result();
  };
  Load load(call, {.concurrency = 1});
  EXPECT_EQ(load.NextWindow(absl::Hours(1), 1).status(), absl::DataLossError("lost"));
  EXPECT_EQ(calls, 3);
}

TEST(LoadTest, CountsRefusalsWhereTheyAreAskedFor) {
  std::atomic<int> calls = 0;
  const auto call = [&calls]() -> absl::StatusOr<Result> {
    if (calls++ % 2 == 0) return SleepAWhile();
    absl::Status busy = absl::ResourceExhaustedError("full");
    busy.SetPayload("type.googleapis.com/google.rpc.RetryInfo", absl::Cord("\n\x02\x08\x01"));
    return busy;
  };
  Load load(call, {.concurrency = 1, .refusals = true, .requests = 4});
  const absl::StatusOr<Window> window = load.NextWindow(absl::ZeroDuration(), 4);
  ASSERT_TRUE(window.ok()) << window.status();
  EXPECT_EQ(window->samples.size(), 2);
  ASSERT_EQ(window->refusals.size(), 2);
  EXPECT_LT(window->refusals[0], kCall);
  calls = 0;
  Load strict(call, {.concurrency = 1, .requests = 4});
  EXPECT_TRUE(absl::IsResourceExhausted(strict.NextWindow(absl::ZeroDuration(), 4).status()));
}

}  // namespace
}  // namespace lossd
