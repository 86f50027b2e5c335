#include "server/rpc_status.h"

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr absl::string_view kTypeUrlPrefix = "type.googleapis.com/";
constexpr char kDomain[] = "lossd";

// Percent-encoded, in the worst case, the message takes three times this; in the details, twice
// four thirds.
constexpr size_t kMaxMessageBytes = 1152;
constexpr size_t kMaxFieldBytes = 256;

// Length of the UTF-8 character at the beginning of `text`; 0 when there is none.
size_t Utf8Length(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80   ? 1
                        : lead < 0xC2 ? 0
                        : lead < 0xE0 ? 2
                        : lead < 0xF0 ? 3
                        : lead < 0xF5 ? 4
                                      : 0;
  if (length > text.size()) return 0;
  for (const char c : text.substr(0, length).substr(std::min<size_t>(length, 1))) {
    if ((c & 0xC0) != 0x80) return 0;
  }
  return length;
}

// `text` cut to about `size` bytes, and valid UTF-8 whatever a client put into it: protobuf strings
// must be.
std::string Displayable(absl::string_view text, size_t size) {
  std::string displayable;
  while (!text.empty()) {
    if (displayable.size() >= size) return displayable + "...";
    const size_t length = Utf8Length(text);
    displayable.append(length > 0 ? std::string(text.substr(0, length)) : "?");
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return displayable;
}

google::rpc::ErrorInfo Info(const std::string& reason) {
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(kDomain);
  return info;
}

// Details travel on a status as payloads, named and written as google.protobuf.Any would.
template <typename Message>
void Attach(const Message& message, absl::Status& status) {
  status.SetPayload(absl::StrCat(kTypeUrlPrefix, Message::descriptor()->full_name()),
                    absl::Cord(message.SerializeAsString()));
}

// Of a client that did so for that long.
absl::Status SilenceError(absl::string_view did, absl::Duration timeout) {
  return absl::DeadlineExceededError(absl::StrCat("the client ", did, " for ",
                                                  absl::FormatDuration(timeout),
                                                  ", the server's receive_timeout"));
}

}  // namespace

absl::Status QueueFullError() {
  absl::Status status = absl::ResourceExhaustedError("the server's queue is full, try again later");
  google::rpc::RetryInfo retry;
  // It empties within some steps of training; a client that comes back sooner only makes it fuller.
  constexpr int kRetryNanoseconds = 250'000'000;
  retry.mutable_retry_delay()->set_nanos(kRetryNanoseconds);
  Attach(retry, status);
  return WithReason("QUEUE_FULL", std::move(status));
}

absl::Status ReceiveTimeoutError(absl::Duration timeout) {
  return WithReason("RECEIVE_TIMEOUT", SilenceError("sent nothing", timeout));
}

absl::Status SendTimeoutError(absl::Duration timeout) {
  return WithReason("SEND_TIMEOUT", SilenceError("took nothing of its answer", timeout));
}

absl::Status TooLargeError(int64_t bytes, int64_t largest) {
  return WithReason(
      "TOO_LARGE",
      absl::ResourceExhaustedError(absl::StrCat(
          "the request needs up to ", bytes,
          " bytes of memory to be computed, and "
          "the server's memory_budget has at most ",
          largest, " for one request: send fewer voxels at a time, or give the server more")));
}

absl::Status DrainingError() {
  return WithReason("DRAINING", absl::UnavailableError("the server is shutting down"));
}

grpc::Status ToRpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  absl::Status detailed = status;
  const std::string message = Displayable(status.message(), kMaxMessageBytes);
  if (const std::optional<std::string> field = ErrorField(status)) {
    google::rpc::BadRequest bad_request;
    auto* violation = bad_request.add_field_violations();
    violation->set_field(Displayable(*field, kMaxFieldBytes));
    violation->set_description(message);
    Attach(bad_request, detailed);
  }
  Attach(Info(ErrorReason(status).value_or(absl::StatusCodeToString(status.code()))), detailed);
  google::rpc::Status rpc;
  rpc.set_code(static_cast<int>(status.code()));
  rpc.set_message(message);
  detailed.ForEachPayload([&rpc](absl::string_view type, const absl::Cord& value) {
    if (!absl::StartsWith(type, kTypeUrlPrefix)) return;
    auto* detail = rpc.add_details();
    detail->set_type_url(std::string(type));
    detail->set_value(std::string(value));
  });
  return {static_cast<grpc::StatusCode>(status.code()), message, rpc.SerializeAsString()};
}

}  // namespace lossd
