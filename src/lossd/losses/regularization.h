#ifndef LOSSD_LOSSES_REGULARIZATION_H_
#define LOSSD_LOSSES_REGULARIZATION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Regularisers of one prediction.
namespace lossd {

// Mean of 1 / max(|p − ½|, min_threshold), × mask, p the sigmoid of the prediction (or the
// prediction itself).
absl::StatusOr<std::unique_ptr<const Loss>> CreateBinaryRegularization(
    const v1::LossOptions& options);

// Mean of σ(p₀)·σ(p₁), the overlap of the first two channels; × σ(p₂), held constant, when there is
// a third.
absl::StatusOr<std::unique_ptr<const Loss>> CreateNonOverlapRegularization(
    const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGULARIZATION_H_
