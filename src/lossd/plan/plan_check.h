#ifndef LOSSD_PLAN_PLAN_CHECK_H_
#define LOSSD_PLAN_PLAN_CHECK_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lossd/losses/traits.h"
#include "lossd/plan/plan.h"

namespace lossd {

class Loss;

// A term of a checked plan.
struct PlanTerm {
  std::string name;  // "term_<index>"
  std::string path;  // "losses[<index>]", for errors.
  const LossTraits* traits = nullptr;
  std::shared_ptr<const Loss> loss;  // Ready to compute.
  // With every default resolved: call_kind, target_kind, spatial_weight_arg and, with spatial
  // argument `weight`, pos_weight are set; so are pred_head, pred2_head and target_slice where the
  // plan's heads say what they are.
  Term spec;
  // Whether the plan as written names this term's head: it then needs a named prediction.
  bool names_pred_head = false;
  bool names_pred2_head = false;
};

// A plan in which everything that does not depend on a batch has been checked.
struct CheckedPlan {
  Plan plan;  // With every default resolved.
  std::vector<PlanTerm> terms;
};

// Checks a plan and fills in what it leaves open. Returns every mistake, each a FieldError such as
// "losses[1].kwargs.beta"; empty, and *checked is complete, when there is none.
std::vector<absl::Status> CheckPlan(const Plan& plan, CheckedPlan* checked);

// The names of a plan's heads, in alphabetical order.
std::vector<std::string> HeadNames(const Plan& plan);

}  // namespace lossd

#endif  // LOSSD_PLAN_PLAN_CHECK_H_
