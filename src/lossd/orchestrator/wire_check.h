#ifndef LOSSD_ORCHESTRATOR_WIRE_CHECK_H_
#define LOSSD_ORCHESTRATOR_WIRE_CHECK_H_

#include "lossd/orchestrator/problems.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// Looks for what a typed plan may hold and a text cannot: fields that this version does not know,
// and numbers that float32 does not.
void CheckWire(const v1::Plan& plan, Problems& problems);

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_WIRE_CHECK_H_
