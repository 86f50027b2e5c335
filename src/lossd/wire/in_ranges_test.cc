#include "lossd/wire/in_ranges.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <vector>

namespace lossd {
namespace {

constexpr int64_t kMany = (int64_t{5} << 20) + 3;

TEST(InRanges, VisitsEachElementOnce) {
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{1000}, kMany}) {
    std::vector<uint8_t> visits(count);
    EXPECT_TRUE(InRanges(count, [&](int64_t begin, int64_t end) {
      EXPECT_EQ(begin % 8, 0);
      for (int64_t i = begin; i < end; ++i) ++visits[i];
      return true;
    }));
    EXPECT_EQ(visits, std::vector<uint8_t>(count, 1));
  }
}

TEST(InRanges, WalksThroughFewInOneCall) {
  int calls = 0;
  InRanges(100'000, [&](int64_t /*begin*/, int64_t /*end*/) { return ++calls > 0; });
  EXPECT_EQ(calls, 1);
}

TEST(InRanges, EndsWhereOneSaysNo) {
  std::atomic<int64_t> visited = 0;
  EXPECT_FALSE(InRanges(100 * kMany, [&](int64_t begin, int64_t end) {
    visited += end - begin;
    return begin != 0;
  }));
  EXPECT_LT(visited, kMany);
  EXPECT_FALSE(InRanges(5, [](int64_t /*begin*/, int64_t /*end*/) { return false; }));
}

}  // namespace
}  // namespace lossd
