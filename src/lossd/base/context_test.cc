#include "lossd/base/context.h"

#include <gtest/gtest.h>

#include <atomic>

namespace lossd {
namespace {

class ContextTest : public testing::TestWithParam<int> {
 protected:
  TaskPool pool_{GetParam()};
};

TEST_P(ContextTest, AloneInAPoolIsNeverCancelled) {
  const Context context(pool_);
  std::atomic<int64_t> visits = 0;
  context.ParallelFor(100, 3, [&](int64_t begin, int64_t end) { visits += end - begin; });
  EXPECT_EQ(visits, 100);
  EXPECT_FALSE(context.Cancelled());
  EXPECT_TRUE(context.status().ok());
}

TEST_P(ContextTest, ACancelledLoopLeavesOutWhatHasNotBegun) {
  TaskGroup group(pool_);
  Cancellation cancellation;
  const Context context(group, cancellation);
  std::atomic<int64_t> ranges = 0;
  context.ParallelFor(1000000, 1, [&](int64_t /*begin*/, int64_t /*end*/) {
    ++ranges;
    cancellation.Cancel(absl::CancelledError("enough"));
  });
  // Each thread may have begun one.
  EXPECT_GE(ranges, 1);
  EXPECT_LE(ranges, GetParam());
  EXPECT_TRUE(context.Cancelled());
  EXPECT_EQ(context.status(), absl::CancelledError("enough"));

  // The pool goes on, with others.
  const Cancellation never;
  std::atomic<int64_t> visits = 0;
  Context(group, never).ParallelFor(100, 3, [&](int64_t begin, int64_t end) {
    visits += end - begin;
  });
  EXPECT_EQ(visits, 100);
}

INSTANTIATE_TEST_SUITE_P(Threads, ContextTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace lossd
