#include "server/server.h"

#include <ATen/Parallel.h>
#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lossd/wire/tensor.h"
#include "server/memory_shares.h"
#include "server/security/service_gate.h"
#include "server/security/tls_credentials.h"

namespace lossd {
namespace {

// How long answers that are computed may take to reach their clients after a drain.
constexpr absl::Duration kFlushTimeout = absl::Seconds(5);
// How long clients may take to close their connections; idle ones do not notice.
constexpr std::chrono::milliseconds kCloseTimeout{100};

// How often the server looks whether a client that is silent is there, and how often clients may.
constexpr int kPingMilliseconds = 60'000;
constexpr int kPingTimeoutMilliseconds = 20'000;
constexpr int kLeastPingMilliseconds = 10'000;
// How long calls may go on after their connection's age has passed.
constexpr int kGraceMilliseconds = 3'600'000;

int Milliseconds(double seconds) { return static_cast<int>(std::ceil(seconds * 1000)); }

// The config with a name for the socket.
Config WithSocketName(Config config) {
  if (config.shared_memory == kSharedMemoryOfAnyName) {
    config.shared_memory = absl::StrCat("@lossd-", absl::BytesToHexString(DrawToken()));
  }
  return config;
}

// Calls on one connection; more wait in the client.
constexpr int kMaxStreams = 1024;

// Silent peers are left, also those that never say what they want, and old connections renewed.
void BoundConnections(const Config& config, grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kPingMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kLeastPingMilliseconds);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             Milliseconds(config.receive_timeout));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             Milliseconds(config.max_connection_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kGraceMilliseconds);
}

// Messages on their way take no more than their share of the memory: gRPC reads the slower the
// closer they are to that, and gives up calls, with RST_STREAM, that would take it beyond.
void BoundMessages(const Config& config, grpc::ServerBuilder& builder) {
  const int64_t bytes = ShareOut(config.memory_budget, config.max_request_bytes).transport;
  grpc::ResourceQuota quota("messages");
  quota.Resize(static_cast<size_t>(bytes));
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(static_cast<int>(std::min(bytes, kMaxMessageBytes)));
}

}  // namespace

Server::Server(const Config& config, std::vector<std::unique_ptr<Device>> devices,
               std::shared_ptr<const Secrets> secrets, Log& log)
    : config_(WithSocketName(config)),
      secrets_(std::move(secrets)),
      service_(config_, std::move(devices), *secrets_, log),
      credentials_(config_.tls_cert.empty() ? grpc::InsecureServerCredentials()
                                            : TlsCredentials(secrets_)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const Config& config, Log& log) {
  // LibTorch computes on the thread that calls it: threads of its own would come on top of ours.
  at::set_num_threads(1);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  if (config.channelz) grpc::channelz::experimental::InitChannelzService();

  absl::StatusOr<std::shared_ptr<const Secrets>> secrets = Secrets::Load(config, log);
  if (!secrets.ok()) return secrets.status();
  absl::StatusOr<std::vector<std::unique_ptr<Device>>> devices = OpenDevices(config.devices);
  if (!devices.ok()) return devices.status();
  std::unique_ptr<Server> server(new Server(config, *std::move(devices), *std::move(secrets), log));
  if (absl::Status shared = server->ShareMemory(); !shared.ok()) return shared;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(config.listen, server->credentials_, &server->port_);
  builder.RegisterService(&server->service_);
  if (server->secrets_->tokens() != nullptr || !config.reflection) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> gates;
    gates.push_back(ServiceGate(config.reflection, *server->secrets_));
    builder.experimental().SetInterceptorCreators(std::move(gates));
  }
  BoundMessages(config, builder);
  builder.SetMaxSendMessageSize(-1);
  BoundConnections(config, builder);
  // What counts the connections; clients may ask it if config.channelz says so.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 1);
  // Otherwise two servers share a port without knowing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", config.listen, ": the address is in use or not ours"));
  }
  server->service_.CountConnections();
  if (absl::Status served = server->ServeHttp(); !served.ok()) return served;
  server->server_->GetHealthCheckService()->SetServingStatus(v1::LossService::service_full_name(),
                                                             true);
  return server;
}

absl::Status Server::ShareMemory() {
  if (config_.shared_memory == kNoSharedMemory) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<SegmentSocket>> socket =
      SegmentSocket::Listen(config_.shared_memory, service_.instance(), service_.segments());
  if (!socket.ok()) return socket.status();
  segment_socket_ = *std::move(socket);
  return absl::OkStatus();
}

absl::Status Server::ServeHttp() {
  if (config_.http_listen == kNoHttp) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<HttpServer>> http =
      HttpServer::Start(config_.http_listen, service_.observability().Pages());
  if (!http.ok()) return http.status();
  http_ = *std::move(http);
  return absl::OkStatus();
}

Server::~Server() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

bool Server::Drain() {
  server_->GetHealthCheckService()->SetServingStatus(false);
  const bool finished = service_.Drain(absl::Seconds(config_.drain_timeout));
  service_.Flush(kFlushTimeout);
  server_->Shutdown(std::chrono::system_clock::now() + kCloseTimeout);
  return finished;
}

}  // namespace lossd
