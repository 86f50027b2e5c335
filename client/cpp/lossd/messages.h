#ifndef LOSSD_MESSAGES_H_
#define LOSSD_MESSAGES_H_

// Batches and results as the messages that carry them.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/compute/batch.h"
#include "lossd/result.h"
#include "lossd/v1/service.pb.h"

namespace lossd {

// Whether there are predictions to send, and no gradient is wanted that there is not: FieldErrors.
absl::Status CheckBatch(const Batch& batch);

// The bytes of the batch's tensors, before any encoding.
int64_t TensorBytes(const Batch& batch);

// What is asked for.
struct CallInputs {
  absl::string_view plan;
  const Batch& batch;
  absl::string_view request_id;
  bool compress = false;  // As ClientOptions has it.
};

// A request in one message. A FieldError about the largest tensor where that would be too large,
// before gigabytes are copied: gRPC ends the process that sends such a one.
absl::StatusOr<v1::ComputeRequest> WriteRequest(const CallInputs& call);

// A request whose tensors follow it, contiguous and on the CPU, in the order of a stream. Those of
// the batch themselves where they are so and have no shorter encoding.
struct OutgoingRequest {
  v1::ComputeRequest header;
  std::vector<at::Tensor> tensors;
};
absl::StatusOr<OutgoingRequest> WriteOutgoingRequest(const CallInputs& call);

// What a server has computed. `read` makes a tensor of its message, and is called in the order of a
// stream. INTERNAL where it cannot.
absl::StatusOr<Result> ReadResult(
    const v1::ComputeResponse& response,
    absl::FunctionRef<absl::StatusOr<at::Tensor>(const v1::Tensor&)> read);

}  // namespace lossd

#endif  // LOSSD_MESSAGES_H_
