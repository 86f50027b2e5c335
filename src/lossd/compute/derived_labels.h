#ifndef LOSSD_COMPUTE_DERIVED_LABELS_H_
#define LOSSD_COMPUTE_DERIVED_LABELS_H_

#include <ATen/core/Tensor.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/compute/batch.h"

namespace lossd {

// The batch with the labels that its labels_from_gt_seg asks for, which is empty then; the batch
// itself where it asks for none. They are the affinities of gt_seg (lossd/malis/affinities.h),
// [B, offsets, Z, Y, X] in float32. Stand-ins for a segmentation give stand-ins for labels.
// Unspecified when the context is cancelled. Errors: FieldErrors about "labels", which must not be
// there, and "gt_seg", which must be, as MALIS takes it.
absl::StatusOr<Batch> WithDerivedLabels(Batch batch, const Context& context);

// The same with labels that are stand-ins, whatever gt_seg is.
absl::StatusOr<Batch> WithLabelStandIn(Batch batch);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_DERIVED_LABELS_H_
