#ifndef LOSSD_LOSSES_SCNP_H_
#define LOSSD_LOSSES_SCNP_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Same-class neighbour penalisation (Lipman et al., Towards High-Quality Image Segmentation:
// Improving Topology Accuracy by Penalizing Neighbor Pixels, CVPR 2026).
namespace lossd {

// PerChannelBCEWithLogitsLoss of logits that are replaced by the worst of their own class (target >
// 0.5 or not) in a window around them: the least of the foreground, the greatest of the background.
// The gradient goes to the voxel chosen, the first in memory order of several.
absl::StatusOr<std::unique_ptr<const Loss>> CreateScnpLoss(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_SCNP_H_
