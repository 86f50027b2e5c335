#ifndef SERVER_LOSS_SERVICE_H_
#define SERVER_LOSS_SERVICE_H_

#include "absl/time/time.h"
#include "lossd/base/cancellation.h"
#include "lossd/v1/service.grpc.pb.h"
#include "server/config.h"
#include "server/executor.h"
#include "server/handlers.h"
#include "server/log.h"

namespace lossd {

// The service on gRPC's callback API: admits calls to the executor, which runs the handlers, stops
// those that nobody waits for any more, and turns statuses into gRPC's. Thread-safe.
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
  // `timeout`. If not, they have been stopped.
  bool Drain(absl::Duration timeout);

 private:
  class Call;

  const Config config_;
  const absl::Time start_;
  Log& log_;
  Cancellation shutdown_;  // Above those of all calls.
  Handlers handlers_;
  Executor executor_;  // Last: its jobs use the rest.
};

}  // namespace lossd

#endif  // SERVER_LOSS_SERVICE_H_
