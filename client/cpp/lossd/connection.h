#ifndef LOSSD_CONNECTION_H_
#define LOSSD_CONNECTION_H_

#include <grpcpp/channel.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/base/workspace.h"
#include "lossd/client_options.h"
#include "lossd/introduction.h"
#include "lossd/shared_memory_negotiation.h"
#include "lossd/v1/service.grpc.pb.h"

namespace lossd {

// A channel to a server, or to several that take turns.
struct Connection {
  explicit Connection(const ClientOptions& options) : introduction(options) {}

  const Introduction introduction;  // What its calls say.
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::LossService::Stub> stub;
  std::string proxy;  // That it goes through; empty without one.
  // Where gradients arrive.
  const std::shared_ptr<Workspace> workspace = std::make_shared<Workspace>();
  // Memory shared with the server; null where there may be several.
  std::unique_ptr<SharedMemoryNegotiation> shared_memory;
};

// A client's way to its server: made when it is first used, and anew when it has become useless.
// Thread-safe.
class Connections {
 public:
  Connections(std::string address, ClientOptions options)
      : address_(std::move(address)), options_(std::move(options)) {}

  // The connection for the next attempt. Errors: those of ReadTarget and of ChannelCredentialsFor;
  // a FieldError about "tls.server_name" where several servers need one.
  absl::StatusOr<std::shared_ptr<const Connection>> Get();

  // Leaves a connection, which ends with the last call that uses it: Get makes another one.
  void Leave(const std::shared_ptr<const Connection>& connection);

 private:
  const std::string address_;
  const ClientOptions options_;
  std::mutex mutex_;
  std::shared_ptr<const Connection> connection_;  // Guarded by mutex_; null when there is none.
};

// An error that came of a connection: UNAVAILABLE names the proxy, who may be the one at fault.
absl::Status NamingProxy(const absl::Status& status, const Connection& connection);

}  // namespace lossd

#endif  // LOSSD_CONNECTION_H_
