#include "lossd/compute_unary.h"

#include <ATen/ATen.h>

#include <cstring>
#include <utility>

#include "absl/time/clock.h"
#include "lossd/rpc_error.h"
#include "lossd/v1/service.pb.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// The tensor of a message, in memory of its own.
absl::StatusOr<at::Tensor> ReadCopy(const v1::Tensor& message) {
  const absl::StatusOr<at::Tensor> over_message = FromWire(message);
  if (!over_message.ok()) return over_message.status();
  at::Tensor copy = at::empty(over_message->sizes(), over_message->scalar_type());
  std::memcpy(copy.mutable_data_ptr(), over_message->const_data_ptr(), over_message->nbytes());
  return copy;
}

class UnaryDelivery final : public Delivery {
 public:
  explicit UnaryDelivery(v1::ComputeRequest request) : request_(std::move(request)) {}

  absl::StatusOr<Result> Attempt(const Connection& connection, grpc::ClientContext& context,
                                 CallControl& /*control*/,
                                 const ProgressFunction& /*progress*/) override {
    v1::ComputeResponse response;
    const absl::Status status =
        FromRpcStatus(connection.stub->Compute(&context, request_, &response));
    if (!status.ok()) return status;
    const absl::Time received = absl::Now();
    absl::StatusOr<Result> result = ReadResult(response, ReadCopy);
    if (!result.ok()) return result;
    result->timings.client_receive = absl::Now() - received;
    result->bytes = {.sent = static_cast<int64_t>(request_.ByteSizeLong()),
                     .received = static_cast<int64_t>(response.ByteSizeLong())};
    return result;
  }

 private:
  const v1::ComputeRequest request_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Delivery>> PrepareUnary(const CallInputs& call) {
  absl::StatusOr<v1::ComputeRequest> request = WriteRequest(call);
  if (!request.ok()) return request.status();
  return std::make_unique<UnaryDelivery>(*std::move(request));
}

}  // namespace lossd
