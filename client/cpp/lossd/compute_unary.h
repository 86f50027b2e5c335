#ifndef LOSSD_COMPUTE_UNARY_H_
#define LOSSD_COMPUTE_UNARY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/delivery.h"
#include "lossd/messages.h"

namespace lossd {

// A batch in one message each way, by Compute. Errors: those of WriteRequest.
absl::StatusOr<std::unique_ptr<Delivery>> PrepareUnary(const CallInputs& call);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_UNARY_H_
