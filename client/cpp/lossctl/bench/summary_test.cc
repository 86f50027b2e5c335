#include "lossctl/bench/summary.h"

#include <gtest/gtest.h>

#include <vector>

namespace lossd {
namespace {

std::vector<absl::Duration> UpTo(int count) {
  std::vector<absl::Duration> values;
  for (int i = 1; i <= count; ++i) values.push_back(absl::Milliseconds(i));
  return values;
}

TEST(PercentileTest, IsAValueThatTheShareDoesNotExceed) {
  EXPECT_EQ(Percentile(UpTo(100), 0.5), absl::Milliseconds(50));
  EXPECT_EQ(Percentile(UpTo(100), 0.99), absl::Milliseconds(99));
  EXPECT_EQ(Percentile(UpTo(20), 0.95), absl::Milliseconds(19));
  EXPECT_EQ(Percentile(UpTo(10), 0.95), absl::Milliseconds(10));
  EXPECT_EQ(Percentile(UpTo(4), 0.5), absl::Milliseconds(2));
  EXPECT_EQ(Percentile(UpTo(1), 0.01), absl::Milliseconds(1));
  EXPECT_EQ(Percentile(UpTo(7), 1), absl::Milliseconds(7));
}

TEST(SummarizeTest, SumsAWindowUp) {
  Window window = {.samples = {}, .length = absl::Seconds(2)};
  for (const int i : {4, 1, 3, 2}) {
    Sample sample = {.latency = absl::Milliseconds(i), .timings = {}, .bytes = {}};
    sample.timings.compute = absl::Milliseconds(10 * i);
    sample.timings.client_receive = absl::Milliseconds(i);
    sample.bytes = {.sent = 100 * i, .received = 10 * i};
    window.samples.push_back(sample);
  }
  EXPECT_EQ(Summarize(window).refusal_latency.max, absl::ZeroDuration());
  window.refusals = {absl::Milliseconds(9), absl::Milliseconds(7)};
  const Summary summary = Summarize(window);
  EXPECT_EQ(summary.requests, 4);
  EXPECT_DOUBLE_EQ(summary.requests_per_second, 2);
  EXPECT_DOUBLE_EQ(summary.bytes_sent, 250);
  EXPECT_DOUBLE_EQ(summary.bytes_received, 25);
  EXPECT_EQ(summary.latency.mean, absl::Microseconds(2500));
  EXPECT_EQ(summary.latency.p50, absl::Milliseconds(2));
  EXPECT_EQ(summary.latency.p90, absl::Milliseconds(4));
  EXPECT_EQ(summary.latency.max, absl::Milliseconds(4));
  EXPECT_EQ(summary.timings.compute, absl::Milliseconds(25));
  EXPECT_EQ(summary.timings.client_receive, absl::Microseconds(2500));
  EXPECT_EQ(summary.timings.queue, absl::ZeroDuration());
  EXPECT_EQ(summary.refusals, 2);
  EXPECT_EQ(summary.refusal_latency.max, absl::Milliseconds(9));
}

}  // namespace
}  // namespace lossd
