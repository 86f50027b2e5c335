#include "lossd/rpc_error.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <gtest/gtest.h>

#include <string>

#include "lossd/base/error.h"

namespace lossd {
namespace {

TEST(FromRpcStatusTest, KeepsCodeAndMessage) {
  EXPECT_TRUE(FromRpcStatus(grpc::Status::OK).ok());
  EXPECT_EQ(FromRpcStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone")),
            absl::UnavailableError("gone"));
  EXPECT_EQ(FromRpcStatus(grpc::Status(grpc::StatusCode::ABORTED, "x", "no protobuf")),
            absl::AbortedError("x"));
}

TEST(FromRpcStatusTest, RestoresTheField) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("labels.shape");
  violation->set_description("labels.shape: got [1], expected [2]");
  google::rpc::Status details;
  details.add_details()->PackFrom(bad_request);
  const absl::Status status = FromRpcStatus(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                                                         "labels.shape: got [1], expected [2]",
                                                         details.SerializeAsString()));
  EXPECT_EQ(ErrorField(status), "labels.shape");
  EXPECT_EQ(status.message(), "labels.shape: got [1], expected [2]");
  EXPECT_TRUE(status.GetPayload("type.googleapis.com/google.rpc.BadRequest").has_value());
}

// Only a lossd's: what others call their errors is no reason of ours.
TEST(FromRpcStatusTest, RestoresTheReason) {
  const auto reason = [](const std::string& domain) {
    google::rpc::ErrorInfo info;
    info.set_domain(domain);
    info.set_reason("QUEUE_FULL");
    google::rpc::Status details;
    details.add_details()->PackFrom(info);
    return ErrorReason(FromRpcStatus(
        grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", details.SerializeAsString())));
  };
  EXPECT_EQ(reason("lossd"), "QUEUE_FULL");
  EXPECT_FALSE(reason("googleapis.com").has_value());
}

TEST(RetryDelayTest, ReadsRetryInfo) {
  EXPECT_FALSE(RetryDelay(absl::UnavailableError("x")).has_value());
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  google::rpc::Status details;
  details.add_details()->PackFrom(retry);
  const absl::Status status = FromRpcStatus(
      grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", details.SerializeAsString()));
  EXPECT_EQ(RetryDelay(status), absl::Milliseconds(2500));
}

}  // namespace
}  // namespace lossd
