#ifndef SERVER_SERVER_H_
#define SERVER_SERVER_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/log.h"
#include "server/loss_service.h"
#include "server/security/secrets.h"
#include "server/shared_memory/segment_socket.h"

namespace lossd {

// A running server: the loss service, health (grpc.health.v1) and reflection on one port.
class Server {
 public:
  // Serves from the moment it returns. `log` must outlive the server. UNAVAILABLE when the address
  // cannot be had; FieldErrors about certificates and tokens that cannot be read, and devices that
  // cannot be used.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Config& config, Log& log);

  // Cancels the calls that are left, and waits until they have stopped.
  ~Server();

  // The port it listens on.
  int port() const { return port_; }

  // The port of the status page; 0 where there is none.
  int http_port() const { return http_ == nullptr ? 0 : http_->port(); }

  // As Watchdog's method.
  std::optional<std::thread::native_handle_type> LookForStuckCalls() {
    return service_.LookForStuckCalls();
  }

  // Whether a device computes still; when the last is lost, the process is sent SIGTERM.
  bool any_device() const { return service_.any_device(); }

  // Bytes that clients share with it.
  int64_t shared_bytes() { return service_.segments().bytes(); }

  // As Handlers' method.
  void GiveBackScratch() { service_.GiveBackScratch(); }

  // Lets calls in flight finish: health turns to NOT_SERVING, new calls are refused with
  // UNAVAILABLE. Whether all have finished within the config's drain_timeout; if not, the rest have
  // been stopped and answered likewise.
  bool Drain();

 private:
  Server(const Config& config, std::vector<std::unique_ptr<Device>> devices,
         std::shared_ptr<const Secrets> secrets, Log& log);

  absl::Status ShareMemory();
  absl::Status ServeHttp();

  const Config config_;
  const std::shared_ptr<const Secrets> secrets_;
  LossServiceImpl service_;
  std::unique_ptr<SegmentSocket> segment_socket_;
  // Asked at each handshake, but not kept by gRPC.
  const std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace lossd

#endif  // SERVER_SERVER_H_
