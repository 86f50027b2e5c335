#ifndef SERVER_COMPUTE_UNARY_H_
#define SERVER_COMPUTE_UNARY_H_

#include <grpcpp/alarm.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lossd/v1/service.pb.h"
#include "server/call.h"
#include "server/handlers.h"
#include "server/memory_budget.h"

namespace lossd {

// What calls in one message need of the service. All of it outlives them.
struct UnarySurroundings {
  CallSurroundings call;
  Handlers& handlers;
  RequestLimits limits;
  MemoryBudget& messages;          // What all messages that have arrived have together.
  int64_t max_message_bytes;       // What one may have.
  absl::Duration receive_timeout;  // How long one may take to arrive.
};

// One call of Compute: a message each way. gRPC itself would wait for ever for the rest of one, so
// that it is served as a stream of one message, which is the same on the wire.
class ComputeUnary final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                           public std::enable_shared_from_this<ComputeUnary> {
 public:
  // Lives until gRPC is done with it.
  static ComputeUnary* Start(const UnarySurroundings& surroundings,
                             const grpc::CallbackServerContext& context);

 private:
  ComputeUnary(const UnarySurroundings& surroundings, const grpc::CallbackServerContext& context);

  void OnReadDone(bool ok) override;
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { self_ = nullptr; }

  // Whether it is still receiving, which ends with that.
  bool StopReceiving();
  void GiveUpReceiving();
  absl::Status Receive();
  void Compute();
  void Answer(const absl::Status& status);
  void End(const absl::Status& status) { Finish(call_.End(status)); }

  const UnarySurroundings surroundings_;
  const grpc::CallbackServerContext& context_;
  Call call_;
  std::shared_ptr<ComputeUnary> self_;

  // A message that does not come is given up by another thread than the one that receives it.
  std::mutex mutex_;
  bool receiving_ = true;
  grpc::Alarm timeout_;

  grpc::ByteBuffer incoming_;
  MemoryBudget::Reservation message_;  // The memory of the request.
  v1::ComputeRequest request_;
  std::optional<Announcement> announcement_;
  v1::ComputeResponse answer_;
  grpc::ByteBuffer outgoing_;
};

}  // namespace lossd

#endif  // SERVER_COMPUTE_UNARY_H_
