#ifndef LOSSD_LOSSES_CROSS_ENTROPY_H_
#define LOSSD_LOSSES_CROSS_ENTROPY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Cross entropy of logits over exclusive classes, as torch.nn.CrossEntropyLoss.
namespace lossd {

// Targets are class indices [B, 1, …] or [B, …] of any type.
absl::StatusOr<std::unique_ptr<const Loss>> CreateCrossEntropyLoss(const v1::LossOptions& options);

struct CrossEntropyOptions {
  std::vector<double> weight;  // Of each class; empty: 1.
  int64_t ignore_index = -100;
  v1::Reduction reduction = v1::REDUCTION_MEAN;
  double label_smoothing = 0;
  // Whether targets are the probabilities of the classes, [B, C, …].
  bool probabilities = false;
};

// The loss with options that were checked, for losses made of it.
std::unique_ptr<const Loss> MakeCrossEntropyLoss(CrossEntropyOptions options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_CROSS_ENTROPY_H_
