#ifndef LOSSD_COMPUTE_OUTCOME_SIZE_H_
#define LOSSD_COMPUTE_OUTCOME_SIZE_H_

#include "lossd/compute/batch.h"
#include "lossd/compute/schedule.h"

namespace lossd {

// The size of a batch's outcome.
OutcomeSize MeasureOutcome(const Schedule& schedule, const Batch& batch);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_OUTCOME_SIZE_H_
