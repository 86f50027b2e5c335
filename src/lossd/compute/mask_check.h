#ifndef LOSSD_COMPUTE_MASK_CHECK_H_
#define LOSSD_COMPUTE_MASK_CHECK_H_

#include "absl/status/status.h"
#include "lossd/base/context.h"
#include "lossd/compute/batch.h"
#include "lossd/compute/schedule.h"

namespace lossd {

// Checks the values of a batch's masks, whose shapes and dtypes fit as the schedule was made:
// - `mask` is finite; in integers it says what is known, so it holds nothing but 0 and 1. In
//   floating point it may hold weights, as the channels of a mask_slice may in any dtype.
// - label_mask holds nothing but 0 and 1.
// - A loss that takes edges for known where its mask is exactly 1 (MALIS) has one that is so
//   somewhere, before any resizing, or that is above 0 nowhere.
// Else it would compute something, and that silently be wrong. Errors are FieldErrors ("mask.data",
// "losses[1].mask_slice"). May throw what LibTorch throws. Unspecified when the context is
// cancelled.
absl::Status CheckMaskValues(const Schedule& schedule, const Batch& batch, const Context& context);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_MASK_CHECK_H_
