#include "lossd/attempts.h"

#include <google/rpc/error_details.pb.h>
#include <gtest/gtest.h>

#include "absl/strings/cord.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

// Asks to come back in a second.
absl::Status Asking(absl::Status status) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  status.SetPayload("type.googleapis.com/google.rpc.RetryInfo",
                    absl::Cord(retry.SerializeAsString()));
  return status;
}

void ExpectBetween(std::optional<absl::Duration> pause, absl::Duration least, absl::Duration most) {
  ASSERT_TRUE(pause.has_value());
  EXPECT_GE(*pause, least);
  EXPECT_LE(*pause, most);
}

TEST(RetryPauseTest, GrowsWithFailuresUpToABound) {
  const absl::Status gone = absl::UnavailableError("gone");
  ExpectBetween(RetryPause(gone, 0), absl::Milliseconds(50), absl::Milliseconds(100));
  ExpectBetween(RetryPause(gone, 2), absl::Milliseconds(200), absl::Milliseconds(400));
  ExpectBetween(RetryPause(gone, 5000), absl::Seconds(1), absl::Seconds(2));
}

TEST(RetryPauseTest, AddsWhatTheServerAsksFor) {
  for (const absl::Status& status :
       {absl::UnavailableError("draining"), absl::ResourceExhaustedError("full")}) {
    ExpectBetween(RetryPause(Asking(status), 0), absl::Milliseconds(1050),
                  absl::Milliseconds(1100));
  }
}

TEST(RetryPauseTest, IsNothingWhereTheSameWouldComeOfIt) {
  EXPECT_FALSE(RetryPause(absl::InvalidArgumentError("bad"), 0).has_value());
  EXPECT_FALSE(RetryPause(absl::InternalError("broken"), 0).has_value());
  EXPECT_FALSE(RetryPause(absl::DeadlineExceededError("late"), 0).has_value());
  EXPECT_FALSE(RetryPause(absl::ResourceExhaustedError("too large"), 0).has_value());
}

TEST(RetryPauseTest, ComesAgainWhereTheServerGotNothing) {
  const absl::Status late = absl::DeadlineExceededError("sent nothing");
  EXPECT_TRUE(RetryPause(WithReason("RECEIVE_TIMEOUT", late), 0).has_value());
}

TEST(RetryPauseTest, IsShortWhereGrpcGaveUpForLackOfMemory) {
  const absl::Status given_up =
      absl::ResourceExhaustedError("Received RST_STREAM with error code 11");
  EXPECT_TRUE(IsBusy(given_up));
  ExpectBetween(RetryPause(given_up, 0), absl::Milliseconds(50), absl::Milliseconds(100));
  EXPECT_FALSE(IsBusy(WithReason("TOO_LARGE", given_up)));
}

// A proxy's or gRPC's own word: no server of ours has looked at the call.
TEST(RetryPauseTest, TellsServersFromWhatIsInBetween) {
  const absl::Status cancelled = absl::CancelledError("stopped");
  const absl::Status removed = absl::UnknownError("Stream removed");
  EXPECT_TRUE(RetryPause(cancelled, 0).has_value());
  EXPECT_TRUE(RetryPause(removed, 0).has_value());
  EXPECT_FALSE(RetryPause(WithReason("CANCELLED", cancelled), 0).has_value());
  EXPECT_FALSE(RetryPause(WithReason("UNKNOWN", removed), 0).has_value());
  EXPECT_FALSE(RetryPause(absl::UnknownError("a bug"), 0).has_value());
}

}  // namespace
}  // namespace lossd
