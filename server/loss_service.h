#ifndef SERVER_LOSS_SERVICE_H_
#define SERVER_LOSS_SERVICE_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lossd/v1/service.grpc.pb.h"
#include "server/config.h"
#include "server/executor.h"
#include "server/handlers.h"
#include "server/log.h"

namespace lossd {

// The service on gRPC's callback API: admits calls to the executor, which runs the handlers, and
// turns statuses into gRPC's. Thread-safe.
class LossServiceImpl final : public v1::LossService::CallbackService {
 public:
  // `log` must outlive the service.
  LossServiceImpl(const Config& config, Log& log);

  grpc::ServerUnaryReactor* Compute(grpc::CallbackServerContext* context,
                                    const v1::ComputeRequest* request,
                                    v1::ComputeResponse* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest* request,
                                          v1::GetServerInfoResponse* response) override;
  grpc::ServerUnaryReactor* ListLosses(grpc::CallbackServerContext* context,
                                       const v1::ListLossesRequest* request,
                                       v1::ListLossesResponse* response) override;
  grpc::ServerUnaryReactor* ValidatePlan(grpc::CallbackServerContext* context,
                                         const v1::ValidatePlanRequest* request,
                                         v1::ValidatePlanResponse* response) override;

  // From now on refuses calls that compute; whether those admitted before have finished within
  // `timeout`.
  bool Drain(absl::Duration timeout) { return executor_.Drain(timeout); }

 private:
  // One call on its way through the executor.
  struct Call {
    grpc::CallbackServerContext* context;
    grpc::ServerUnaryReactor* reactor;
    absl::string_view method;
    std::string id;
    absl::Time arrival;
  };

  // Runs `handler` on the executor, unless the call is refused or nobody waits for it any more when
  // its turn comes, and finishes the call with its status.
  grpc::ServerUnaryReactor* Run(Call call, absl::AnyInvocable<absl::Status(const Call&)> handler);
  void Finish(const Call& call, const absl::Status& status);

  const Config config_;
  const absl::Time start_;
  Log& log_;
  Handlers handlers_;
  Executor executor_;  // Last: its jobs use the rest.
};

}  // namespace lossd

#endif  // SERVER_LOSS_SERVICE_H_
