#ifndef LOSSD_LOSSES_CROSS_ENTROPY_H_
#define LOSSD_LOSSES_CROSS_ENTROPY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Cross entropy over classes that exclude each other.
namespace lossd {

// As torch.nn.CrossEntropyLoss of logits [B, C, …]. Targets are class indices [B, 1, …] or [B, …];
// floats are truncated.
absl::StatusOr<std::unique_ptr<const Loss>> CreateCrossEntropyLoss(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_CROSS_ENTROPY_H_
