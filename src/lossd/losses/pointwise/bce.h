#ifndef LOSSD_LOSSES_POINTWISE_BCE_H_
#define LOSSD_LOSSES_POINTWISE_BCE_H_

#include <ATen/ATen.h>

#include <optional>

#include "lossd/losses/loss.h"

// What the losses of binary cross entropy share, as LibTorch expressions.
namespace lossd {

// The loss map, before any weight.
at::Tensor BceMap(const at::Tensor& logits, const at::Tensor& target,
                  const std::optional<at::Tensor>& pos_weight);

// The weight of positives of each channel of a target [B, C, …]: negatives / positives among the
// elements whose weight is above 0 (all without a weight), at most `max`; 1 without positives.
// Positive means above 0. A tensor [1, C, 1, …] of the given type.
at::Tensor BalancingPosWeight(const at::Tensor& target, const at::Tensor& weight, double max,
                              at::ScalarType type);

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_BCE_H_
