#ifndef LOSSD_ORCHESTRATOR_OUTCOME_SIZE_H_
#define LOSSD_ORCHESTRATOR_OUTCOME_SIZE_H_

#include "lossd/orchestrator/batch.h"
#include "lossd/orchestrator/schedule.h"

namespace lossd {

// The size of a batch's outcome.
OutcomeSize MeasureOutcome(const Schedule& schedule, const Batch& batch);

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_OUTCOME_SIZE_H_
