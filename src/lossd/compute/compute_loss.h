#ifndef LOSSD_COMPUTE_COMPUTE_LOSS_H_
#define LOSSD_COMPUTE_COMPUTE_LOSS_H_

#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/losses/loss.h"

namespace lossd {

// The loss's Compute; on the host, with copies of the inputs, where it does not compute on a GPU.
absl::StatusOr<LossResult> ComputeLoss(const Loss& loss, const LossInputs& inputs,
                                       const Context& context);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_COMPUTE_LOSS_H_
