#ifndef LOSSD_LOSSES_DICE_H_
#define LOSSD_LOSSES_DICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Dice losses (Milletari et al., V-Net, 3DV 2016) as MONAI defines them. With to_onehot_y, targets
// are class indices [B, 1, …], else they have the prediction's shape.
namespace lossd {

// As monai.losses.DiceLoss.
absl::StatusOr<std::unique_ptr<const Loss>> CreateDiceLoss(const v1::LossOptions& options);

// Dice plus cross entropy (BCE for a single channel), of logits, as monai.losses.DiceCELoss.
absl::StatusOr<std::unique_ptr<const Loss>> CreateDiceCELoss(const v1::LossOptions& options);

// Dice plus focal loss, of logits, as monai.losses.DiceFocalLoss.
absl::StatusOr<std::unique_ptr<const Loss>> CreateDiceFocalLoss(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_DICE_H_
