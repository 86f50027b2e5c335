#include "server/server.h"

#include <ATen/Parallel.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// How long answers that are computed may take to reach their clients after a drain.
constexpr std::chrono::seconds kFlushTimeout{5};

}  // namespace

Server::Server(const Config& config, Log& log) : config_(config), service_(config, log) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Config& config, Log& log) {
  // LibTorch computes on the thread that calls it: threads of its own would come on top of ours.
  at::set_num_threads(1);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  std::unique_ptr<Server> server(new Server(config, log));
  grpc::ServerBuilder builder;
  builder.AddListeningPort(config.listen, grpc::InsecureServerCredentials(), &server->port_);
  builder.RegisterService(&server->service_);
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min(config.max_request_bytes, kMaxMessageBytes)));
  builder.SetMaxSendMessageSize(-1);
  // Otherwise two servers share a port without knowing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", config.listen, ": the address is in use or not ours"));
  }
  server->server_->GetHealthCheckService()->SetServingStatus(v1::LossService::service_full_name(),
                                                             true);
  return server;
}

Server::~Server() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

bool Server::Drain() {
  server_->GetHealthCheckService()->SetServingStatus(false);
  const bool finished = service_.Drain(absl::Seconds(config_.drain_timeout));
  server_->Shutdown(std::chrono::system_clock::now() + kFlushTimeout);
  return finished;
}

}  // namespace lossd
