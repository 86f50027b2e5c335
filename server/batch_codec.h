#ifndef SERVER_BATCH_CODEC_H_
#define SERVER_BATCH_CODEC_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/compute/batch.h"
#include "lossd/compute/memory_need.h"
#include "lossd/v1/service.pb.h"
#include "lossd/wire/tensor.h"

namespace lossd {

// How a tensor of a message becomes one of a batch.
using TensorReader = absl::FunctionRef<absl::StatusOr<at::Tensor>(const v1::Tensor&, ElementUse)>;

// The batch of a request. `read` is called for each of its tensors in the order of a stream
// (ReadStreamLayout). Without crop origins and seed the batch's seed is drawn here. Errors:
// FieldErrors about the request ("labels.shape", "predictions[output].data"). What depends on the
// plan is not checked here.
absl::StatusOr<Batch> ReadBatch(const v1::ComputeRequest& request, TensorReader read);

// Whether the tensors of a batch, which may be stand-ins, have at most `max_bytes` together, as
// they are computed on; else RESOURCE_EXHAUSTED.
absl::Status CheckBatchFits(const Batch& batch, int64_t max_bytes);

// The bytes of a whole response, ids and timings included, at most.
int64_t AnswerBytes(const OutcomeSize& size, const Batch& batch);

// The most bytes that something may have, and why: "what one message holds".
struct ByteLimit {
  int64_t bytes = 0;
  absl::string_view reason;
};

// Whether the response stays within the limit; else a FieldError that says what makes it too large.
absl::Status CheckAnswerFits(const OutcomeSize& size, const Batch& batch, const ByteLimit& limit);

// Writes an outcome into the response's fields; `seed` is the batch's. Where `apart` is given, the
// gradients' data are left out of the response, and the tensors, contiguous and on the CPU, added
// to `apart` in the order of a stream.
absl::Status WriteOutcome(const Outcome& outcome, uint64_t seed, v1::ComputeResponse* response,
                          std::vector<at::Tensor>* apart = nullptr);

}  // namespace lossd

#endif  // SERVER_BATCH_CODEC_H_
