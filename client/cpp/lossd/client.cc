#include "lossd/client.h"

#include <ATen/ATen.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <string>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/compute_streamed.h"
#include "lossd/messages.h"
#include "lossd/rpc_error.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// From here on what a message costs is little beside what it carries.
constexpr int64_t kLeastStreamedBytes = int64_t{1} << 20;

// The tensor of a message over its bytes, which it keeps alive together with the whole `response`.
absl::StatusOr<at::Tensor> ReadShared(const v1::Tensor& message,
                                      const std::shared_ptr<const v1::ComputeResponse>& response) {
  const absl::StatusOr<at::Tensor> read = FromWire(message);
  if (!read.ok()) return read.status();
  const at::Tensor& view = *read;
  return at::from_blob(view.data_ptr(), view.sizes(), [response, view](void*) {}, view.options());
}

}  // namespace

absl::StatusOr<Client> Client::Connect(const std::string& target, const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + options.connect_timeout))) {
    return absl::UnavailableError(absl::StrCat("no server answers at ", target, " within ",
                                               absl::FormatDuration(options.connect_timeout)));
  }
  return Client(channel, options);
}

absl::StatusOr<Result> Client::Compute(const v1::PlanSource& plan, const Batch& batch,
                                       absl::string_view request_id) const {
  const absl::Time start = absl::Now();
  if (absl::Status checked = CheckBatch(batch); !checked.ok()) return checked;
  const bool streamed =
      options_.transport == Transport::kStream ||
      (options_.transport == Transport::kAuto && TensorBytes(batch) >= kLeastStreamedBytes);
  absl::StatusOr<Result> result =
      streamed ? ComputeStream(plan, batch, request_id) : ComputeUnary(plan, batch, request_id);
  if (result.ok()) result->timings.round_trip = absl::Now() - start;
  return result;
}

absl::StatusOr<Result> Client::ComputeUnary(const v1::PlanSource& plan, const Batch& batch,
                                            absl::string_view request_id) const {
  const absl::StatusOr<v1::ComputeRequest> request = WriteRequest(plan, batch, request_id);
  if (!request.ok()) return request.status();
  const auto response = std::make_shared<v1::ComputeResponse>();
  const absl::Status status = Call(&Stub::Compute, *request, response.get());
  if (!status.ok()) return status;
  return ReadResult(*response,
                    [&](const v1::Tensor& message) { return ReadShared(message, response); });
}

absl::StatusOr<Result> Client::ComputeStream(const v1::PlanSource& plan, const Batch& batch,
                                             absl::string_view request_id) const {
  const absl::StatusOr<OutgoingRequest> request = WriteOutgoingRequest(plan, batch, request_id);
  if (!request.ok()) return request.status();
  IncomingAnswer answer;
  const absl::Status status = Repeat([&](grpc::ClientContext& context) {
    return ComputeStreamed(channel_, context, *request, &answer);
  });
  if (!status.ok()) return status;
  auto next = answer.data.begin();
  return ReadResult(answer.header,
                    [&next](const v1::Tensor& message) { return FromBytes(message, *next++); });
}

absl::StatusOr<Result> Client::Compute(absl::string_view plan, const Batch& batch,
                                       absl::string_view request_id) const {
  return Compute(PlanText(plan), batch, request_id);
}

absl::StatusOr<v1::ValidatePlanResponse> Client::ValidatePlan(const v1::PlanSource& plan) const {
  v1::ValidatePlanRequest request;
  *request.mutable_plan() = plan;
  v1::ValidatePlanResponse response;
  const absl::Status status = Call(&Stub::ValidatePlan, request, &response);
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::ListLossesResponse> Client::ListLosses() const {
  v1::ListLossesResponse response;
  const absl::Status status = Call(&Stub::ListLosses, v1::ListLossesRequest(), &response);
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::GetServerInfoResponse> Client::GetServerInfo() const {
  v1::GetServerInfoResponse response;
  const absl::Status status = Call(&Stub::GetServerInfo, v1::GetServerInfoRequest(), &response);
  if (!status.ok()) return status;
  return response;
}

template <typename Request, typename Response>
absl::Status Client::Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          const Request& request, Response* response) const {
  return Repeat([&](grpc::ClientContext& context) {
    response->Clear();
    return FromRpcStatus((stub_.get()->*method)(&context, request, response));
  });
}

absl::Status Client::Repeat(absl::FunctionRef<absl::Status(grpc::ClientContext&)> attempt) const {
  const absl::Time deadline = absl::Now() + options_.timeout;
  absl::Duration pause = options_.first_pause;
  for (int repetition = 0;; ++repetition) {
    grpc::ClientContext context;
    if (deadline < absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
    const absl::Status status = attempt(context);
    const std::optional<absl::Duration> asked = RetryDelay(status);
    // Nobody here cancels: that is a server that stopped before it looked at the call.
    const bool gone = absl::IsUnavailable(status) || absl::IsCancelled(status);
    if (!gone && !asked.has_value()) return status;
    // Clients that were refused together shall not come back together.
    const absl::Duration wait = std::max(asked.value_or(absl::ZeroDuration()), pause) *
                                absl::Uniform(absl::BitGen(), 1.0, 1.5);
    if (repetition == options_.retries || absl::Now() + wait >= deadline) return status;
    absl::SleepFor(wait);
    pause = std::min(2 * pause, options_.longest_pause);
  }
}

v1::PlanSource PlanText(absl::string_view text) {
  v1::PlanSource source;
  source.set_text(std::string(text));
  return source;
}

}  // namespace lossd
