#ifndef LOSSD_LOSSES_CONSISTENCY_H_
#define LOSSD_LOSSES_CONSISTENCY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Regularisers that keep two predictions of one shape consistent with each other. Each is a mean
// over all elements of a map × mask.
namespace lossd {

// Of foreground logits f and signed distance d, with t = tanh(d): −log σ(f)·max(t, 0) − log
// σ(−f)·max(−t, 0).
absl::StatusOr<std::unique_ptr<const Loss>> CreateForegroundDistanceConsistency(
    const v1::LossOptions& options);

// Of contour logits c and signed distance d: (σ(c)·|tanh(d)|)².
absl::StatusOr<std::unique_ptr<const Loss>> CreateContourDistanceConsistency(
    const v1::LossOptions& options);

// Of foreground logits f and contour logits c: the squared difference of σ(c) and the in-plane
// edges of σ(f), widened by one voxel.
absl::StatusOr<std::unique_ptr<const Loss>> CreateForegroundContourConsistency(
    const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_CONSISTENCY_H_
