#include "server/rpc_status.h"

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

// The detail of that type, if it is there.
template <typename Detail>
std::optional<Detail> Find(const grpc::Status& status) {
  const google::rpc::Status details = Details(status);
  for (const auto& any : details.details()) {
    Detail detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

TEST(ToRpcStatusTest, OkIsOk) { EXPECT_TRUE(ToRpcStatus(absl::OkStatus()).ok()); }

TEST(ToRpcStatusTest, KeepsCodeAndMessageAndNamesTheDomain) {
  const grpc::Status status = ToRpcStatus(absl::InternalError("broken"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "broken");
  EXPECT_EQ(Details(status).code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Details(status).message(), "broken");
  EXPECT_EQ(Find<google::rpc::ErrorInfo>(status)->domain(), "lossd");
  EXPECT_EQ(Find<google::rpc::ErrorInfo>(status)->reason(), "INTERNAL");
  EXPECT_FALSE(Find<google::rpc::BadRequest>(status).has_value());
}

TEST(ToRpcStatusTest, NamesTheField) {
  const grpc::Status status = ToRpcStatus(FieldError("labels.shape", "[1]", "5 dimensions"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto bad_request = Find<google::rpc::BadRequest>(status);
  ASSERT_TRUE(bad_request.has_value());
  ASSERT_EQ(bad_request->field_violations_size(), 1);
  EXPECT_EQ(bad_request->field_violations(0).field(), "labels.shape");
  EXPECT_EQ(bad_request->field_violations(0).description(), status.error_message());
}

TEST(ToRpcStatusTest, TellsTheReason) {
  const grpc::Status status = ToRpcStatus(WithReason("NOT_FINITE", FieldError("losses[0]", "nan")));
  EXPECT_EQ(Find<google::rpc::ErrorInfo>(status)->reason(), "NOT_FINITE");
}

TEST(ToRpcStatusTest, SaysWhenToRetry) {
  const grpc::Status status = ToRpcStatus(QueueFullError());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Find<google::rpc::ErrorInfo>(status)->reason(), "QUEUE_FULL");
  const auto retry = Find<google::rpc::RetryInfo>(status);
  ASSERT_TRUE(retry.has_value());
  EXPECT_EQ(retry->retry_delay().seconds(), 0);
  EXPECT_EQ(retry->retry_delay().nanos(), 250'000'000);
}

// To wait would be of no use.
TEST(ToRpcStatusTest, SaysThatTooLargeStaysTooLarge) {
  const grpc::Status status = ToRpcStatus(TooLargeError(5, 4));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Find<google::rpc::ErrorInfo>(status)->reason(), "TOO_LARGE");
  EXPECT_FALSE(Find<google::rpc::RetryInfo>(status).has_value());
}

TEST(ToRpcStatusTest, SaysThatItDrains) {
  const grpc::Status status = ToRpcStatus(DrainingError());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Find<google::rpc::ErrorInfo>(status)->reason(), "DRAINING");
}

TEST(ToRpcStatusTest, FitsTheHeadersWhateverTheMessage) {
  std::string text;
  while (text.size() < 100'000) absl::StrAppend(&text, "é");
  const grpc::Status status = ToRpcStatus(FieldError(text, text));
  const size_t percent_encoded = 3 * status.error_message().size();
  const size_t base64 = status.error_details().size() * 4 / 3;
  EXPECT_LT(percent_encoded + base64, 8192 - 512);
  EXPECT_THAT(status.error_message(), testing::EndsWith("é..."));
}

TEST(ToRpcStatusTest, ReplacesWhatIsNotUtf8) {
  for (const char* text : {"a\xff", "a\xc3", "a\xc3(", "a\x80", "a\xf5", "a\xe2\x82"}) {
    EXPECT_THAT(ToRpcStatus(absl::InternalError(text)).error_message(), testing::StartsWith("a?"));
  }
  EXPECT_EQ(ToRpcStatus(absl::InternalError("ß€𝄞")).error_message(), "ß€𝄞");
}

}  // namespace
}  // namespace lossd
