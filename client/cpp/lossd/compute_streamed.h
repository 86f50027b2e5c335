#ifndef LOSSD_COMPUTE_STREAMED_H_
#define LOSSD_COMPUTE_STREAMED_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/compute/batch.h"
#include "lossd/delivery.h"

namespace lossd {

// A batch in pieces, by ComputeStream. The tensors are sent from where they lie, and the server's
// status is that of an attempt also when it had its say before everything was sent. Errors: those
// of WriteOutgoingRequest.
absl::StatusOr<std::unique_ptr<Delivery>> PrepareStreamed(absl::string_view plan,
                                                          const Batch& batch,
                                                          absl::string_view request_id);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_STREAMED_H_
