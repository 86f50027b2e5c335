#include "server/observability/recent_calls.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

CallRecord Call(int id, absl::Duration total, const absl::Status& status) {
  CallRecord call;
  call.id = absl::StrCat(id);
  call.total = total;
  call.status = status;
  return call;
}

TEST(RecentCallsTest, KeepsTheLastSlowAndFailedOnes) {
  RecentCalls calls(absl::Seconds(1));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(calls.Note(Call(i, absl::Seconds(i % 2), absl::OkStatus())), i % 2 == 1);
  }
  calls.Note(Call(100, absl::ZeroDuration(), absl::InternalError("broken")));
  ASSERT_EQ(calls.Slow().size(), 20);
  EXPECT_EQ(calls.Slow().front().id, "99");
  EXPECT_EQ(calls.Slow().back().id, "61");
  ASSERT_EQ(calls.Failed().size(), 1);
  EXPECT_EQ(calls.Failed().front().id, "100");
}

}  // namespace
}  // namespace lossd
