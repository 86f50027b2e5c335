#ifndef LOSSD_COMPUTE_SCHEDULE_H_
#define LOSSD_COMPUTE_SCHEDULE_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/compute/batch.h"
#include "lossd/plan/channel_slice.h"
#include "lossd/plan/plan_check.h"

namespace lossd {

// One term at one scale, routed: which channels of which tensors of the batch it looks at.
struct Evaluation {
  const PlanTerm* term = nullptr;
  size_t term_index = 0;
  int scale = 0;
  // Index in Batch::predictions, and channels there.
  size_t pred = 0;
  ChannelRange pred_channels;
  // For pred_pred terms.
  size_t pred2 = 0;
  ChannelRange pred2_channels;
  // Channels of the labels, for pred_target terms.
  ChannelRange target_channels;
  std::optional<ChannelRange> mask_channels;
  // For losses with a crop.
  std::optional<VoxelIndex> crop_origin;
};

// The terms of one scale, in the plan's order.
struct Scale {
  double weight = 1;
  std::vector<Evaluation> evaluations;
};

struct Schedule {
  std::vector<Scale> scales;  // Finest first.
  bool drew_crop_origin = false;
};

// Checks a batch against a plan before anything is computed: presence, ranks, sizes, dtypes,
// channels, heads, crops; everything but what the tensors hold. Errors are FieldErrors about the
// batch ("labels.shape", "predictions[aff]"), or about a term where its slices do not fit
// ("losses[1].pred_slice").
absl::StatusOr<Schedule> MakeSchedule(const CheckedPlan& plan, const Batch& batch);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_SCHEDULE_H_
