#include "lossd/client.h"

#include <ATen/ATen.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/compute_streamed.h"
#include "lossd/messages.h"
#include "lossd/rpc_error.h"
#include "lossd/server_answers.h"
#include "lossd/v1/service.grpc.pb.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// From here on what a message costs is little beside what it carries.
constexpr int64_t kLeastStreamedBytes = int64_t{1} << 20;

// The tensor of a message, in memory of its own.
absl::StatusOr<at::Tensor> ReadCopy(const v1::Tensor& message) {
  const absl::StatusOr<at::Tensor> over_message = FromWire(message);
  if (!over_message.ok()) return over_message.status();
  return over_message->clone();
}

}  // namespace

// What a client does, in the words of the contract.
class Client::Impl {
 public:
  using Stub = v1::LossService::Stub;

  Impl(std::shared_ptr<grpc::Channel> channel, const ClientOptions& options)
      : channel_(std::move(channel)),
        stub_(v1::LossService::NewStub(channel_)),
        options_(options) {}

  const ClientOptions& options() const { return options_; }

  absl::StatusOr<Result> ComputeUnary(absl::string_view plan, const Batch& batch,
                                      absl::string_view request_id) const;
  absl::StatusOr<Result> ComputeStream(absl::string_view plan, const Batch& batch,
                                       absl::string_view request_id) const;

  // Calls `method`, again where that makes sense.
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) const;

 private:
  // Makes an attempt, and further ones where that makes sense; the status of the last.
  absl::Status Repeat(absl::FunctionRef<absl::Status(grpc::ClientContext&)> attempt) const;

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
  ClientOptions options_;
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&& other) noexcept = default;
Client& Client::operator=(Client&& other) noexcept = default;
Client::~Client() = default;

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
  return Client(std::make_unique<Impl>(channel, options));
}

absl::StatusOr<Result> Client::Compute(absl::string_view plan, const Batch& batch,
                                       absl::string_view request_id) const {
  const absl::Time start = absl::Now();
  if (absl::Status checked = CheckBatch(batch); !checked.ok()) return checked;
  const ClientOptions& options = impl_->options();
  const bool streamed =
      options.transport == Transport::kStream ||
      (options.transport == Transport::kAuto && TensorBytes(batch) >= kLeastStreamedBytes);
  absl::StatusOr<Result> result = streamed ? impl_->ComputeStream(plan, batch, request_id)
                                           : impl_->ComputeUnary(plan, batch, request_id);
  if (result.ok()) result->timings.round_trip = absl::Now() - start;
  return result;
}

absl::StatusOr<Result> Client::Impl::ComputeUnary(absl::string_view plan, const Batch& batch,
                                                  absl::string_view request_id) const {
  const absl::StatusOr<v1::ComputeRequest> request = WriteRequest(plan, batch, request_id);
  if (!request.ok()) return request.status();
  v1::ComputeResponse response;
  const absl::Status status = Call(&Stub::Compute, *request, &response);
  if (!status.ok()) return status;
  return ReadResult(response, ReadCopy);
}

absl::StatusOr<Result> Client::Impl::ComputeStream(absl::string_view plan, const Batch& batch,
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

absl::StatusOr<PlanCheck> Client::ValidatePlan(absl::string_view plan) const {
  v1::ValidatePlanRequest request;
  request.mutable_plan()->set_text(std::string(plan));
  v1::ValidatePlanResponse response;
  const absl::Status status = impl_->Call(&Impl::Stub::ValidatePlan, request, &response);
  if (!status.ok()) return status;
  return ReadPlanCheck(response);
}

absl::StatusOr<std::vector<LossDescription>> Client::ListLosses() const {
  v1::ListLossesResponse response;
  const absl::Status status =
      impl_->Call(&Impl::Stub::ListLosses, v1::ListLossesRequest(), &response);
  if (!status.ok()) return status;
  return ReadLosses(response);
}

absl::StatusOr<ServerInfo> Client::GetServerInfo() const {
  v1::GetServerInfoResponse response;
  const absl::Status status =
      impl_->Call(&Impl::Stub::GetServerInfo, v1::GetServerInfoRequest(), &response);
  if (!status.ok()) return status;
  return ReadServerInfo(response);
}

template <typename Request, typename Response>
absl::Status Client::Impl::Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request, Response* response) const {
  return Repeat([&](grpc::ClientContext& context) {
    response->Clear();
    return FromRpcStatus((stub_.get()->*method)(&context, request, response));
  });
}

absl::Status Client::Impl::Repeat(
    absl::FunctionRef<absl::Status(grpc::ClientContext&)> attempt) const {
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

}  // namespace lossd
