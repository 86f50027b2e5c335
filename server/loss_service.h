#ifndef SERVER_LOSS_SERVICE_H_
#define SERVER_LOSS_SERVICE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossd/base/cancellation.h"
#include "lossd/v1/service.grpc.pb.h"
#include "server/client_watch.h"
#include "server/compute_call.h"
#include "server/config.h"
#include "server/connections.h"
#include "server/executor.h"
#include "server/handlers.h"
#include "server/kept_memory.h"
#include "server/log.h"
#include "server/memory_budget.h"
#include "server/memory_shares.h"
#include "server/security/secrets.h"
#include "server/shared_memory/segments.h"
#include "server/watchdog.h"

namespace lossd {

// ComputeStream as raw bytes, so that tensors are copied once; the other methods as messages, but
// for Compute, see ComputeUnary.
using LossServiceBase = v1::LossService::WithRawCallbackMethod_ComputeStream<
    v1::LossService::WithCallbackMethod_GetServerInfo<
        v1::LossService::WithCallbackMethod_ListLosses<
            v1::LossService::WithCallbackMethod_ValidatePlan<v1::LossService::Service>>>>;

// The service on gRPC's callback API: lets calls in as there is memory for them, has the executor
// run the handlers, stops what nobody waits for any more, and turns statuses into gRPC's.
// Thread-safe.
class LossServiceImpl final : public LossServiceBase {
 public:
  // `secrets` and `log` must outlive the service. config.shared_memory is the name of the socket
  // where clients share memory, or "off". `devices` are those of config.devices; when the last is
  // lost, the process is sent SIGTERM.
  LossServiceImpl(const Config& config, std::vector<std::unique_ptr<Device>> devices,
                  const Secrets& secrets, Log& log);

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ComputeStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::GetServerInfoResponse* response) override;
  grpc::ServerUnaryReactor* ListLosses(grpc::CallbackServerContext* context,
                                       const v1::ListLossesRequest* request,
                                       v1::ListLossesResponse* response) override;
  grpc::ServerUnaryReactor* ValidatePlan(grpc::CallbackServerContext* context,
                                         const v1::ValidatePlanRequest* request,
                                         v1::ValidatePlanResponse* response) override;

  // As Watchdog's method.
  std::optional<std::thread::native_handle_type> LookForStuckCalls() { return watchdog_.Look(); }

  // gRPC serves it by a server that has just been made.
  void CountConnections() { connections_.CountThoseOfNewestServer(); }

  // What operators see.
  const Observability& observability() const { return observability_; }

  // As Handlers' methods.
  void GiveBackScratch() { handlers_.GiveBackScratch(); }
  Segments& segments() { return handlers_.segments(); }

  // Whether a device computes still.
  bool any_device() const { return handlers_.devices().any_in_service(); }

  // Tells this server from others: 16 bytes.
  const std::string& instance() const { return instance_; }

  // From now on refuses calls that compute; whether those admitted before have finished within
  // `timeout`. If not, they have been stopped.
  bool Drain(absl::Duration timeout);

  // After that: whether all answers have left within `timeout`.
  bool Flush(absl::Duration timeout) { return open_calls_.WaitUntilNone(timeout); }

 private:
  // Answers a call that needs no turn: with what `handler` says, if the caller is let in. `method`
  // is a literal.
  grpc::ServerUnaryReactor* AnswerAtOnce(grpc::CallbackServerContext& context,
                                         absl::string_view method,
                                         absl::FunctionRef<absl::Status()> handler);

  // How it is now.
  ServerState State() const;

  ComputeSurroundings computing() {
    return {.call = {.log = log_,
                     .secrets = secrets_,
                     .executor = executor_,
                     .memory = memory_,
                     .open_calls = open_calls_,
                     .observability = observability_,
                     .shutdown = shutdown_},
            .handlers = handlers_,
            .limits = {.bytes = config_.max_request_bytes, .cost = config_.max_cost},
            .receive_timeout = absl::Seconds(config_.receive_timeout),
            .watch = watch_};
  }

  const Config config_;
  const absl::Time start_;
  const std::string instance_ = DrawToken();
  const Secrets& secrets_;
  Log& log_;
  Cancellation shutdown_;  // Above those of all calls.
  Handlers handlers_;
  const MemoryShares shares_;
  KeptMemory kept_;
  MemoryBudget memory_;    // Of calls,
  MemoryBudget messages_;  // and of what came in one message.
  OpenCalls open_calls_;
  Watchdog watchdog_;
  ClientWatch watch_;
  Connections connections_;
  std::atomic<bool> draining_ = false;
  Observability observability_;
  Executor executor_;  // Last: its jobs use the rest.
};

}  // namespace lossd

#endif  // SERVER_LOSS_SERVICE_H_
