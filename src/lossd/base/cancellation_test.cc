#include "lossd/base/cancellation.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace lossd {
namespace {

TEST(CancellationTest, FiresWhenSomebodyCancelsAndKeepsTheFirstReason) {
  Cancellation cancellation;
  EXPECT_FALSE(cancellation.Fired());
  EXPECT_TRUE(cancellation.status().ok());
  cancellation.Cancel(absl::CancelledError("the client is gone"));
  cancellation.Cancel(absl::UnavailableError("too late"));
  EXPECT_TRUE(cancellation.Fired());
  EXPECT_EQ(cancellation.status(), absl::CancelledError("the client is gone"));
}

TEST(CancellationTest, FiresWhenItsDeadlinePasses) {
  const Cancellation cancellation(absl::Now() + absl::Milliseconds(20));
  EXPECT_TRUE(cancellation.status().ok());
  absl::SleepFor(absl::Milliseconds(25));
  EXPECT_TRUE(cancellation.Fired());
  EXPECT_TRUE(absl::IsDeadlineExceeded(cancellation.status()));
}

TEST(CancellationTest, FiresWithTheOneAbove) {
  Cancellation above;
  const Cancellation below(absl::InfiniteFuture(), &above);
  EXPECT_FALSE(below.Fired());
  above.Cancel(absl::UnavailableError("going down"));
  EXPECT_TRUE(below.Fired());
  EXPECT_EQ(below.status(), absl::UnavailableError("going down"));
}

TEST(CancellationTest, ADeadlineThatPassesLaterChangesNothing) {
  Cancellation cancellation(absl::Now() + absl::Milliseconds(20));
  cancellation.Cancel(absl::CancelledError("the client is gone"));
  absl::SleepFor(absl::Milliseconds(25));
  EXPECT_TRUE(absl::IsCancelled(cancellation.status()));
}

}  // namespace
}  // namespace lossd
