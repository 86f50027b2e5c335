#ifndef LOSSD_LOSSES_GENERALIZED_DICE_H_
#define LOSSD_LOSSES_GENERALIZED_DICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Dice with classes weighted by their volume (Sudre et al., Generalised Dice Overlap, DLMIA 2017).
namespace lossd {

// As monai.losses.GeneralizedDiceLoss.
absl::StatusOr<std::unique_ptr<const Loss>> CreateGeneralizedDiceLoss(
    const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_GENERALIZED_DICE_H_
