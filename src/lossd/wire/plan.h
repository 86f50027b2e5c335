#ifndef LOSSD_WIRE_PLAN_H_
#define LOSSD_WIRE_PLAN_H_

#include "lossd/plan/plan.h"
#include "lossd/plan/plan_reader.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// The plan of a request, typed or as a document. A typed one is read as the document that says the
// same, so that both have one meaning and the same errors. Fields and enum values of it that this
// version does not know are errors, too.
PlanDocument ReadPlanSource(const v1::PlanSource& source);

// A plan, all of whose terms have a loss, as a message: with every option and default spelled out.
v1::Plan ToMessage(const Plan& plan);

}  // namespace lossd

#endif  // LOSSD_WIRE_PLAN_H_
