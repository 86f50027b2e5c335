#ifndef LOSSD_LOSSES_GAN_H_
#define LOSSD_LOSSES_GAN_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// The adversarial loss of a discriminator (Isola et al., CVPR 2017; Arjovsky et al., Wasserstein
// GAN, ICML 2017).
namespace lossd {

// Of a prediction of any shape and LossInputs.target, one element: whether the prediction is of a
// real sample. Not for plans.
absl::StatusOr<std::unique_ptr<const Loss>> CreateGANLoss(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_GAN_H_
