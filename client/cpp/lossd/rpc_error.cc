#include "lossd/rpc_error.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr absl::string_view kTypeUrlPrefix = "type.googleapis.com/";

// The first detail of that type.
template <typename Detail>
std::optional<Detail> Find(const google::rpc::Status& status) {
  for (const auto& any : status.details()) {
    Detail detail;
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

// The status without its details.
absl::Status Plain(const grpc::Status& status, const google::rpc::Status& details) {
  const auto bad_request = Find<google::rpc::BadRequest>(details);
  if (status.error_code() != grpc::StatusCode::INVALID_ARGUMENT || !bad_request.has_value() ||
      bad_request->field_violations().empty()) {
    return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
  }
  // The message begins with the field already.
  const std::string& field = bad_request->field_violations(0).field();
  const std::string message = status.error_message();
  return FieldError(field, absl::StripPrefix(message, absl::StrCat(field, ": ")));
}

}  // namespace

absl::Status FromRpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status details;
  // Servers other than lossd may send anything: what is not google.rpc.Status counts as nothing.
  if (!details.ParseFromString(status.error_details())) details.Clear();
  absl::Status result = Plain(status, details);
  const auto info = Find<google::rpc::ErrorInfo>(details);
  if (info.has_value() && info->domain() == "lossd") {
    result = WithReason(info->reason(), std::move(result));
  }
  for (const auto& any : details.details()) {
    result.SetPayload(any.type_url(), absl::Cord(any.value()));
  }
  return result;
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const auto payload = status.GetPayload(
      absl::StrCat(kTypeUrlPrefix, google::rpc::RetryInfo::descriptor()->full_name()));
  google::rpc::RetryInfo retry;
  if (!payload.has_value() || !retry.ParseFromString(std::string(*payload))) return std::nullopt;
  return absl::Seconds(retry.retry_delay().seconds()) +
         absl::Nanoseconds(retry.retry_delay().nanos());
}

}  // namespace lossd
