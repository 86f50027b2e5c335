#ifndef LOSSD_COMPUTE_TERM_INPUTS_H_
#define LOSSD_COMPUTE_TERM_INPUTS_H_

#include <optional>

#include "lossd/base/context.h"
#include "lossd/compute/batch.h"
#include "lossd/compute/schedule.h"
#include "lossd/losses/loss.h"

namespace lossd {

// Selects channels, resizes labels and masks to the prediction, and makes the spatial weight of one
// term. `clamp` is where its predictions are cut off, nothing where none lies outside; clamp_min is
// what predictions become for a loss without weight where a mask is not. A schedule has been made
// of the batch, so nothing is checked. May throw what LibTorch throws.
LossInputs MakeTermInputs(const Evaluation& evaluation, const Batch& batch,
                          const std::optional<ClampRange>& clamp, double clamp_min,
                          const Context& context);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_TERM_INPUTS_H_
