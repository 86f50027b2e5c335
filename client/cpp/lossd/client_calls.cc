#include "lossd/client_calls.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/rpc_method.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/attempts.h"
#include "lossd/rpc_error.h"
#include "lossd/server_answers.h"

namespace lossd {
namespace {

// Why there is no connection, which gRPC tells calls alone; empty where it does not know.
std::string WhyNobody(const Connection& connection) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
  v1::GetServerInfoResponse answer;
  const grpc::Status asked = connection.stub->GetServerInfo(&context, {}, &answer);
  return asked.error_code() == grpc::StatusCode::UNAVAILABLE
             ? absl::StrCat(": ", asked.error_message())
             : "";
}

// grpc.health.v1.Health, whose messages no package has. On the wire its request, a string in field
// 1, is a StringValue, and its response, a number there, an Int32Value.
using HealthRequest = google::protobuf::StringValue;
using HealthResponse = google::protobuf::Int32Value;
constexpr int kServing = 1;

grpc::Status CheckHealth(grpc::Channel& channel, grpc::ClientContext& context,
                         const HealthRequest& request, HealthResponse* response) {
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  return grpc::internal::BlockingUnaryCall<
      HealthRequest, HealthResponse, google::protobuf::MessageLite, google::protobuf::MessageLite>(
      &channel, method, &context, request, response);
}

}  // namespace

ClientCalls::UnderWay::UnderWay(ClientCalls& calls, CallControl& control)
    : calls_(calls), control_(control) {
  const std::lock_guard lock(calls_.mutex_);
  if (!calls_.closed_.ok()) control_.GiveUp(calls_.closed_);
  calls_.under_way_.insert(&control_);
}

ClientCalls::UnderWay::~UnderWay() {
  const std::lock_guard lock(calls_.mutex_);
  calls_.under_way_.erase(&control_);
}

absl::StatusOr<std::shared_ptr<ClientCalls>> ClientCalls::Connect(const std::string& target,
                                                                  const ClientOptions& options) {
  // In a forked process gRPC would wait for threads that it has not.
  static const Process first_to_connect;
  absl::Status usable = first_to_connect.Check("the first client");
  if (!usable.ok()) return usable;
  auto calls = std::make_shared<ClientCalls>(target, options);
  absl::Status connected = calls->AwaitConnection(target);
  if (!connected.ok()) return connected;
  return calls;
}

absl::Status ClientCalls::AwaitConnection(const std::string& target) {
  const absl::StatusOr<std::shared_ptr<const Connection>> connection = connections_.Get();
  if (!connection.ok()) return connection.status();
  const absl::Time deadline = absl::Now() + options_.connect_timeout;
  if ((*connection)->channel->WaitForConnected(absl::ToChronoTime(deadline))) {
    return absl::OkStatus();
  }
  const absl::Status nobody = absl::UnavailableError(
      absl::StrCat("no server answers at ", target, " within ",
                   absl::FormatDuration(options_.connect_timeout), WhyNobody(**connection)));
  return NamingProxy(nobody, **connection);
}

void ClientCalls::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = absl::CancelledError("the client is gone");
  for (CallControl* control : under_way_) control->GiveUp(closed_);
}

absl::Status ClientCalls::Make(
    CallControl& control,
    absl::FunctionRef<absl::Status(const Connection&, grpc::ClientContext&)> attempt) {
  const UnderWay under_way(*this, control);
  return MakeAttempts(connections_, control, options_, attempt);
}

absl::Status ClientCalls::Ask(
    absl::FunctionRef<grpc::Status(const Connection&, grpc::ClientContext&)> ask) {
  if (absl::Status usable = process_.Check("the client"); !usable.ok()) return usable;
  CallControl control;
  return Make(control, [&](const Connection& connection, grpc::ClientContext& context) {
    return FromRpcStatus(ask(connection, context));
  });
}

template <typename Request, typename Response>
absl::Status ClientCalls::Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request, Response* response) {
  return Ask([&](const Connection& connection, grpc::ClientContext& context) {
    response->Clear();
    return (connection.stub.get()->*method)(&context, request, response);
  });
}

absl::StatusOr<PlanCheck> ClientCalls::ValidatePlan(absl::string_view plan) {
  v1::ValidatePlanRequest request;
  request.mutable_plan()->set_text(std::string(plan));
  v1::ValidatePlanResponse response;
  const absl::Status status = Ask(&Stub::ValidatePlan, request, &response);
  if (!status.ok()) return status;
  return ReadPlanCheck(response);
}

absl::StatusOr<std::vector<LossDescription>> ClientCalls::ListLosses() {
  v1::ListLossesResponse response;
  const absl::Status status = Ask(&Stub::ListLosses, v1::ListLossesRequest(), &response);
  if (!status.ok()) return status;
  return ReadLosses(response);
}

absl::StatusOr<ServerInfo> ClientCalls::GetServerInfo() {
  v1::GetServerInfoResponse response;
  const absl::Status status = Ask(&Stub::GetServerInfo, v1::GetServerInfoRequest(), &response);
  if (!status.ok()) return status;
  return ReadServerInfo(response);
}

absl::StatusOr<bool> ClientCalls::IsServing(const std::string& service) {
  HealthRequest request;
  request.set_value(service);
  HealthResponse response;
  const absl::Status status = Ask([&](const Connection& connection, grpc::ClientContext& context) {
    response.Clear();
    return CheckHealth(*connection.channel, context, request, &response);
  });
  if (!status.ok()) return status;
  return response.value() == kServing;
}

}  // namespace lossd
