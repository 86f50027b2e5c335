#include "lossd/base/error.h"

#include <gtest/gtest.h>

namespace lossd {
namespace {

TEST(FieldErrorTest, NamesFieldGivenAndExpected) {
  const absl::Status status = FieldError("labels.shape", "[2, 3]", "5 dimensions");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "labels.shape: got [2, 3], expected 5 dimensions");
  EXPECT_EQ(ErrorField(status), "labels.shape");
}

TEST(FieldErrorTest, OtherErrorsHaveNoField) {
  EXPECT_EQ(ErrorField(absl::InternalError("x")), std::nullopt);
  EXPECT_EQ(ErrorField(absl::OkStatus()), std::nullopt);
}

TEST(InFieldTest, PrefixesFieldAndMessage) {
  const absl::Status inner = FieldError("kwargs.beta", "-1", "a number >= 0");
  const absl::Status outer = InField("losses[2]", inner);
  EXPECT_EQ(ErrorField(outer), "losses[2].kwargs.beta");
  EXPECT_EQ(outer.message(), "losses[2].kwargs.beta: got -1, expected a number >= 0");
}

TEST(InFieldTest, JoinsIndicesWithoutADot) {
  EXPECT_EQ(ErrorField(InField("nhood", FieldError("[1]", "bad"))), "nhood[1]");
}

TEST(ErrorReasonTest, StaysWithTheError) {
  const absl::Status status = WithReason("NOT_FINITE", FieldError("losses[2]", "is nan"));
  EXPECT_EQ(ErrorReason(AboutField("losses[3]", status)), "NOT_FINITE");
  EXPECT_EQ(ErrorReason(FieldError("losses[2]", "is nan")), std::nullopt);
}

TEST(InFieldTest, LeavesOtherErrorsAlone) {
  EXPECT_EQ(InField("plan", absl::InternalError("x")), absl::InternalError("x"));
  EXPECT_TRUE(InField("plan", absl::OkStatus()).ok());
}

}  // namespace
}  // namespace lossd
