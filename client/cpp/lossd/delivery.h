#ifndef LOSSD_DELIVERY_H_
#define LOSSD_DELIVERY_H_

#include <grpcpp/client_context.h>

#include <functional>

#include "absl/status/statusor.h"
#include "lossd/call_control.h"
#include "lossd/client_options.h"
#include "lossd/connection.h"
#include "lossd/result.h"

namespace lossd {

// A batch on its way to a server by one of the transports: PrepareUnary, DeliverStreamed,
// DeliverShared. What is sent is made once, for all attempts, and holds what it needs of the
// caller's tensors.
class Delivery {
 public:
  using ProgressFunction = std::function<void(const Progress&)>;

  virtual ~Delivery() = default;

  // One attempt, on the calling thread, none at the same time. `control` has `context`, and is
  // given what else can be cancelled. The result's bytes are counted, and in its timings are the
  // server's, and client_send and client_receive of the attempt. The server's status; INTERNAL for
  // an answer that is none.
  virtual absl::StatusOr<Result> Attempt(const Connection& connection, grpc::ClientContext& context,
                                         CallControl& control,
                                         const ProgressFunction& progress) = 0;
};

}  // namespace lossd

#endif  // LOSSD_DELIVERY_H_
