#ifndef LOSSD_COMPUTE_DIAGNOSTICS_H_
#define LOSSD_COMPUTE_DIAGNOSTICS_H_

#include <ATen/ATen.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lossd/base/context.h"
#include "lossd/losses/loss.h"
#include "lossd/plan/plan_check.h"

namespace lossd {

// "target [2, 1, 8, 8]: 3 NaN, 1 Inf, finite values in [-1, 2.5], not finite per sample 0.0234, 0":
// what it takes to tell one bad sample from a network that has diverged. Unspecified when the
// context is cancelled.
std::string DescribeTensor(absl::string_view name, const at::Tensor& tensor,
                           const Context& context);

// The error for a term whose loss is `value` and not finite, or whose loss is but not its gradient:
// a FieldError about the term that describes all its tensors, for the reason NOT_FINITE.
absl::Status NotFiniteError(const PlanTerm& term, int scale, double value, const LossInputs& inputs,
                            const Context& context);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_DIAGNOSTICS_H_
