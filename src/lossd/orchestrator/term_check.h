#ifndef LOSSD_ORCHESTRATOR_TERM_CHECK_H_
#define LOSSD_ORCHESTRATOR_TERM_CHECK_H_

#include <google/protobuf/message.h>

#include <vector>

#include "absl/status/status.h"
#include "lossd/orchestrator/plan_check.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// Checks one term of a plan, adding its mistakes to `found`, and resolves its spec in place.
void CheckTerm(const v1::Plan& plan, PlanTerm& term, std::vector<absl::Status>& found);

// Sets every field that has a default and no value.
void FillDefaults(google::protobuf::Message& message);

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_TERM_CHECK_H_
