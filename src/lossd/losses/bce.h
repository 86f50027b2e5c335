#ifndef LOSSD_LOSSES_BCE_H_
#define LOSSD_LOSSES_BCE_H_

#include <torch/types.h>

#include <memory>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Binary cross entropy with logits. Targets are probabilities, one a logit.
namespace lossd {

// As torch.nn.BCEWithLogitsLoss.
absl::StatusOr<std::unique_ptr<const Loss>> CreateBCEWithLogitsLoss(const v1::LossOptions& options);

// The same with options that were checked, for losses made of it.
std::unique_ptr<const Loss> MakeBceLoss(const google::protobuf::RepeatedField<double>& pos_weight,
                                        v1::Reduction reduction);

// Map × weight; LossInputs.pos_weight overrides the option.
absl::StatusOr<std::unique_ptr<const Loss>> CreateWeightedBCEWithLogitsLoss(
    const v1::LossOptions& options);

// Each channel with its own weight of positives, the channels' losses added.
absl::StatusOr<std::unique_ptr<const Loss>> CreatePerChannelBCEWithLogitsLoss(
    const v1::LossOptions& options);

// The weight of positives of each channel of a target [B, C, …]: negatives / positives among the
// elements whose weight is above 0 (all without a weight), at most `max`; 1 without positives.
// Positive means above 0. A tensor [1, C, 1, …] of the given type.
at::Tensor BalancingPosWeight(const at::Tensor& target, const at::Tensor& weight, double max,
                              at::ScalarType type);

}  // namespace lossd

#endif  // LOSSD_LOSSES_BCE_H_
