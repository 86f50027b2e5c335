#ifndef LOSSD_LOSSES_REGRESSION_H_
#define LOSSD_LOSSES_REGRESSION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Losses of the difference between prediction and target.
namespace lossd {

// As torch.nn.MSELoss and torch.nn.L1Loss.
absl::StatusOr<std::unique_ptr<const Loss>> CreateMSELoss(const v1::LossOptions& options);
absl::StatusOr<std::unique_ptr<const Loss>> CreateL1Loss(const v1::LossOptions& options);

// Squared error, absolute error, and PyTorch's smooth_l1, each of (the tanh of) the prediction, ×
// weight.
absl::StatusOr<std::unique_ptr<const Loss>> CreateWeightedMSELoss(const v1::LossOptions& options);
absl::StatusOr<std::unique_ptr<const Loss>> CreateWeightedMAELoss(const v1::LossOptions& options);
absl::StatusOr<std::unique_ptr<const Loss>> CreateSmoothL1Loss(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGRESSION_H_
