#include "lossctl/bench/windows.h"

#include <gtest/gtest.h>

#include <vector>

namespace lossd {
namespace {

// A second with so many requests, of that latency each.
Window Of(int requests, absl::Duration latency) {
  const Sample sample = {.latency = latency, .timings = {}, .bytes = {}};
  return {.samples = std::vector(requests, sample), .length = absl::Seconds(1)};
}

constexpr absl::Duration kLatency = absl::Milliseconds(100);

TEST(AreAlikeTest, LooksAtThroughputAndP90) {
  EXPECT_TRUE(AreAlike({Of(100, kLatency), Of(109, kLatency), Of(91, kLatency)}));
  EXPECT_FALSE(AreAlike({Of(100, kLatency), Of(100, kLatency), Of(120, kLatency)}));
  EXPECT_FALSE(AreAlike({Of(100, kLatency), Of(100, kLatency), Of(80, kLatency)}));
  EXPECT_TRUE(AreAlike({Of(100, kLatency), Of(100, 1.09 * kLatency), Of(100, 0.91 * kLatency)}));
  EXPECT_FALSE(AreAlike({Of(100, kLatency), Of(100, kLatency), Of(100, 1.2 * kLatency)}));
}

// Measures these, one after the other.
absl::StatusOr<Measurement> Measure(std::vector<Window> windows, int max_windows) {
  auto next = windows.begin();
  return MeasureUntilStable([&next]() -> absl::StatusOr<Window> { return *next++; }, max_windows);
}

TEST(MeasureUntilStableTest, EndsWithThreeAlikeAndTakesThemTogether) {
  const absl::StatusOr<Measurement> measured =
      Measure({Of(10, kLatency), Of(50, kLatency), Of(100, kLatency), Of(102, kLatency),
               Of(98, kLatency), Of(1, kLatency)},
              10);
  ASSERT_TRUE(measured.ok());
  EXPECT_TRUE(measured->stable);
  EXPECT_EQ(measured->windows, 5);
  EXPECT_EQ(measured->window.samples.size(), 300);
  EXPECT_EQ(measured->window.length, absl::Seconds(3));
}

TEST(MeasureUntilStableTest, GivesUpAfterSoMany) {
  const absl::StatusOr<Measurement> measured = Measure(
      {Of(1, kLatency), Of(2, kLatency), Of(4, kLatency), Of(8, kLatency), Of(8, kLatency)}, 4);
  ASSERT_TRUE(measured.ok());
  EXPECT_FALSE(measured->stable);
  EXPECT_EQ(measured->windows, 4);
  EXPECT_EQ(measured->window.samples.size(), 14);
  EXPECT_EQ(Measure({Of(1, kLatency), Of(1, kLatency)}, 2)->window.samples.size(), 2);
}

TEST(MeasureUntilStableTest, EndsWithAnError) {
  const auto fail = []() -> absl::StatusOr<Window> { return absl::DataLossError("lost"); };
  EXPECT_EQ(MeasureUntilStable(fail, 10).status(), absl::DataLossError("lost"));
}

}  // namespace
}  // namespace lossd
