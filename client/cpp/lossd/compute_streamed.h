#ifndef LOSSD_COMPUTE_STREAMED_H_
#define LOSSD_COMPUTE_STREAMED_H_

#include <ATen/core/Tensor.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "lossd/messages.h"
#include "lossd/v1/service.pb.h"

namespace lossd {

// An answer whose tensors followed it: the bytes of each, in memory of its own.
struct IncomingAnswer {
  v1::ComputeResponse header;
  std::vector<at::Tensor> data;
};

// One call of ComputeStream, on the calling thread. The tensors are sent from where they lie. The
// server's status, also when it had its say before everything was sent; INTERNAL for an answer that
// is none.
absl::Status ComputeStreamed(const std::shared_ptr<grpc::Channel>& channel,
                             grpc::ClientContext& context, const OutgoingRequest& request,
                             IncomingAnswer* answer);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_STREAMED_H_
