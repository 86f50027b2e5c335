#ifndef LOSSD_LOSSES_TVERSKY_H_
#define LOSSD_LOSSES_TVERSKY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// The Tversky loss (Salehi et al., MLMI 2017) as MONAI defines it.
namespace lossd {

// As monai.losses.TverskyLoss.
absl::StatusOr<std::unique_ptr<const Loss>> CreateTverskyLoss(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_TVERSKY_H_
