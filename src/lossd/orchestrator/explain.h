#ifndef LOSSD_ORCHESTRATOR_EXPLAIN_H_
#define LOSSD_ORCHESTRATOR_EXPLAIN_H_

#include <string>

#include "lossd/orchestrator/plan_check.h"

namespace lossd {

// What a term does and what it needs, in a few sentences for a person.
std::string ExplainTerm(const PlanTerm& term);

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_EXPLAIN_H_
