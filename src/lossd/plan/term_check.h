#ifndef LOSSD_PLAN_TERM_CHECK_H_
#define LOSSD_PLAN_TERM_CHECK_H_

#include <vector>

#include "absl/status/status.h"
#include "lossd/plan/plan_check.h"

namespace lossd {

// Checks one term of a plan, adding its mistakes to `found`, and resolves its spec in place.
void CheckTerm(const Plan& plan, PlanTerm& term, std::vector<absl::Status>& found);

}  // namespace lossd

#endif  // LOSSD_PLAN_TERM_CHECK_H_
