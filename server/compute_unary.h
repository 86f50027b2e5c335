#ifndef SERVER_COMPUTE_UNARY_H_
#define SERVER_COMPUTE_UNARY_H_

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "lossd/v1/service.pb.h"
#include "server/compute_call.h"
#include "server/handlers.h"
#include "server/memory_budget.h"

namespace lossd {

// What has arrived in one message.
struct MessageLimits {
  MemoryBudget& budget;  // What all such have together.
  int64_t largest;       // What one may have.
};

// One call of Compute: a message each way. gRPC itself would wait for ever for the rest of one, so
// that it is served as a stream of one message, which is the same on the wire.
class ComputeUnary final : public ComputeCall {
 public:
  // Lives until gRPC is done with it.
  static ComputeUnary* Start(const ComputeSurroundings& surroundings, const MessageLimits& messages,
                             const grpc::CallbackServerContext& context);

 private:
  ComputeUnary(const ComputeSurroundings& surroundings, const MessageLimits& messages,
               const grpc::CallbackServerContext& context)
      : ComputeCall(surroundings, context, "Compute"), messages_(messages) {}

  void OnReadDone(bool ok) override;
  void Answer(const absl::Status& status) override;
  void LeaveReceiving() override { Reach(Stage::kComputing); }

  absl::Status Receive();
  void Compute();

  const MessageLimits messages_;
  MemoryBudget::Reservation message_;  // The memory of the request.
  v1::ComputeRequest request_;
  std::optional<Announcement> announcement_;
  v1::ComputeResponse answer_;
};

}  // namespace lossd

#endif  // SERVER_COMPUTE_UNARY_H_
