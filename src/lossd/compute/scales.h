#ifndef LOSSD_COMPUTE_SCALES_H_
#define LOSSD_COMPUTE_SCALES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/compute/batch.h"
#include "lossd/plan/plan_check.h"

namespace lossd {

// One prediction at some scale.
struct ScaleOutput {
  std::string head;       // Empty for a lone one at a coarser scale.
  size_t prediction = 0;  // Index in Batch::predictions.
};

// The predictions of one scale: a lone one without a name, or named heads.
struct ScaleOutputs {
  std::vector<ScaleOutput> outputs;
  bool lone = false;
  std::string prefix;  // Of the heads' names in the batch: "ds_2/"; empty at the finest scale.
};

// Sorts the predictions of a batch into scales, finest first, by their names (PredictionName).
//
// Errors are FieldErrors about "predictions" when there are heads that the plan does not have, or
// none at the finest scale, or a lone one beside others; and about its shape for a head without the
// channels that the plan says it has.
absl::StatusOr<std::vector<ScaleOutputs>> SplitIntoScales(const CheckedPlan& plan,
                                                          const Batch& batch);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_SCALES_H_
