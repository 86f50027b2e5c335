#include "lossd/connection.h"

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <variant>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/channel_credentials.h"
#include "lossd/target.h"

namespace lossd {
namespace {

ChannelOptions OurOptions() {
  return {{GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1},
          {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1},
          // A channel is made anew to have a new connection, and would get an old one out of a
          // pool.
          {GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1},
          // A server that restarts is found soon.
          {GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200},
          {GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000},
          // A peer that is gone without a word is noticed: while data is on its way after the
          // timeout, while a call waits at the next ping. More pings than one in five minutes a
          // server, or a proxy before it, may take for an attack.
          {GRPC_ARG_KEEPALIVE_TIME_MS, 310'000},
          {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000},
          {GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0}};
}

// The options of a channel to that target.
absl::StatusOr<ChannelOptions> OptionsFor(const Target& target, const ClientOptions& client) {
  // Of two values for one name the first stays.
  ChannelOptions options = client.channel_options;
  if (client.tls.has_value()) {
    const std::string& name = client.tls->server_name;
    if (name.empty() && absl::StrContains(target.uri, ',')) {
      return FieldError("tls.server_name", "none",
                        absl::StrCat("the name in the certificates of ", target.uri));
    }
    if (!name.empty()) options.emplace(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, name);
  }
  options.merge(ChannelOptions(target.options));
  options.merge(OurOptions());
  return options;
}

grpc::ChannelArguments ToArguments(const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  for (const auto& [name, value] : options) {
    if (const int* number = std::get_if<int>(&value)) {
      arguments.SetInt(name, *number);
    } else {
      arguments.SetString(name, std::get<std::string>(value));
    }
  }
  return arguments;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Connection>> Connections::Get() {
  const std::lock_guard lock(mutex_);
  if (connection_ != nullptr) return connection_;
  absl::StatusOr<Target> target = ReadTarget(address_);
  if (!target.ok()) return target.status();
  absl::StatusOr<ChannelOptions> options = OptionsFor(*target, options_);
  if (!options.ok()) return options.status();
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials =
      ChannelCredentialsFor(options_.tls);
  if (!credentials.ok()) return credentials.status();
  auto connection = std::make_shared<Connection>(options_);
  connection->channel = grpc::CreateCustomChannel(target->uri, *credentials, ToArguments(*options));
  connection->stub = v1::LossService::NewStub(connection->channel);
  connection->proxy = std::move(target->proxy);
  if (!target->several) connection->shared_memory = std::make_unique<SharedMemoryNegotiation>();
  connection_ = std::move(connection);
  return connection_;
}

void Connections::Leave(const std::shared_ptr<const Connection>& connection) {
  const std::lock_guard lock(mutex_);
  if (connection_ == connection) connection_ = nullptr;
}

absl::Status NamingProxy(const absl::Status& status, const Connection& connection) {
  if (connection.proxy.empty() || !absl::IsUnavailable(status)) return status;
  absl::Status named(status.code(), absl::StrCat(status.message(), " (through the proxy ",
                                                 connection.proxy, " of the environment)"));
  status.ForEachPayload(
      [&named](absl::string_view type, const absl::Cord& value) { named.SetPayload(type, value); });
  return named;
}

}  // namespace lossd
