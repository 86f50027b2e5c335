#ifndef LOSSD_PLAN_EXPLAIN_H_
#define LOSSD_PLAN_EXPLAIN_H_

#include <string>

#include "lossd/plan/plan_check.h"

namespace lossd {

// What a term does and what it needs, in a few sentences for a person.
std::string ExplainTerm(const PlanTerm& term);

// Likewise how the terms are combined; empty where they are only summed.
std::string ExplainBalancing(const LossBalancing& balancing);

}  // namespace lossd

#endif  // LOSSD_PLAN_EXPLAIN_H_
