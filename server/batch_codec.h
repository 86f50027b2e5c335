#ifndef SERVER_BATCH_CODEC_H_
#define SERVER_BATCH_CODEC_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/compute/batch.h"
#include "lossd/compute/memory_need.h"
#include "lossd/v1/service.pb.h"

namespace lossd {

// The batch of a request. Its tensors lie in the request where they can: it must outlive them and
// not change. Without crop origins and seed the batch's seed is drawn here. Errors: FieldErrors
// about the request ("labels.shape", "predictions[output].data"). What depends on the plan is not
// checked here.
absl::StatusOr<Batch> ReadBatch(const v1::ComputeRequest& request);

// The bytes of a whole response, ids and timings included, at most.
int64_t AnswerBytes(const OutcomeSize& size, const Batch& batch);

// Whether the response fits into one message; else a FieldError that says what makes it too large.
absl::Status CheckAnswerFits(const OutcomeSize& size, const Batch& batch);

// Writes an outcome into the response's fields; `seed` is the batch's.
absl::Status WriteOutcome(const Outcome& outcome, uint64_t seed, v1::ComputeResponse* response);

}  // namespace lossd

#endif  // SERVER_BATCH_CODEC_H_
