#ifndef LOSSD_COMPUTE_CLASS_BALANCE_H_
#define LOSSD_COMPUTE_CLASS_BALANCE_H_

#include <ATen/ATen.h>

#include <cstdint>

#include "lossd/base/context.h"
#include "lossd/losses/loss.h"
#include "lossd/plan/plan.h"

namespace lossd {

// Elements of a target that count, by class: foreground is > 0, background is <= 0, NaN is neither.
struct ClassCounts {
  int64_t foreground = 0;
  int64_t background = 0;
};

// Counts where `mask`, bool, is true; everywhere when it is undefined. Target and mask, [B, C, …],
// broadcast against each other.
ClassCounts CountClasses(const at::Tensor& target, const at::Tensor& mask, const Context& context);

// Background over foreground, at most 10; 1 if a class is absent.
double AutoPosWeight(const ClassCounts& counts);

// Weights in inverse proportion to the classes' frequencies, with mean 1, each at most 10; 1 if a
// class is absent.
ClassWeights BalancedWeights(const ClassCounts& counts);

// The weights that a term's pos_weight stands for: counted from the batch, or fixed on foreground
// and 1 elsewhere.
ClassWeights ClassWeightsOf(const PosWeight& pos_weight, const at::Tensor& target,
                            const at::Tensor& mask, const Context& context);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_CLASS_BALANCE_H_
