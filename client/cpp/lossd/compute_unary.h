#ifndef LOSSD_COMPUTE_UNARY_H_
#define LOSSD_COMPUTE_UNARY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/compute/batch.h"
#include "lossd/delivery.h"

namespace lossd {

// A batch in one message each way, by Compute. Errors: those of WriteRequest.
absl::StatusOr<std::unique_ptr<Delivery>> PrepareUnary(absl::string_view plan, const Batch& batch,
                                                       absl::string_view request_id);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_UNARY_H_
