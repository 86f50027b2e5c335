#ifndef LOSSD_LOSSES_SOFT_CLDICE_H_
#define LOSSD_LOSSES_SOFT_CLDICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Soft clDice (Shit et al., clDice: a Novel Topology-Preserving Loss Function for Tubular Structure
// Segmentation, CVPR 2021).
namespace lossd {

// One minus the harmonic mean of how much of the prediction's soft skeleton lies in the target and
// of the target's in the prediction. Targets have the prediction's channels, or are class indices
// [B, 1, …] or [B, …]. The weight has one channel, the channels that count, or the prediction's; it
// multiplies volumes and skeletons.
absl::StatusOr<std::unique_ptr<const Loss>> CreateSoftClDiceLoss(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_SOFT_CLDICE_H_
