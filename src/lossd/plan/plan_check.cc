#include "lossd/plan/plan_check.h"

#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/plan/channel_slice.h"
#include "lossd/plan/nearest_name.h"
#include "lossd/plan/prediction_name.h"
#include "lossd/plan/problems.h"
#include "lossd/plan/term_check.h"

namespace lossd {
namespace {

// Real plans have a handful of either; each term is a pass over the volume.
constexpr size_t kMaxTerms = 256;
constexpr size_t kMaxHeads = 256;

bool IsTooLarge(const Plan& plan) {
  return plan.losses.size() > kMaxTerms || plan.heads.size() > kMaxHeads;
}

// The plan's own fields.
void CheckFrame(const Plan& plan, Problems& problems) {
  if (plan.losses.empty()) problems.Add("losses", "no terms", "at least one");
  if (plan.losses.size() > kMaxTerms) {
    problems.Add("losses", absl::StrCat(plan.losses.size(), " terms"),
                 absl::StrCat("at most ", kMaxTerms));
  }
  if (plan.heads.size() > kMaxHeads) {
    problems.Add("heads", absl::StrCat(plan.heads.size(), " heads"),
                 absl::StrCat("at most ", kMaxHeads));
  }
  if (IsTooLarge(plan)) return;
  CheckNumber("clamp_min", plan.clamp_min, problems);
  CheckNumber("clamp_max", plan.clamp_max, problems);
  if (plan.clamp_min > plan.clamp_max) {
    problems.Add("clamp_max", absl::StrCat(plan.clamp_max),
                 absl::StrCat("at least clamp_min, ", plan.clamp_min));
  }
  for (size_t i = 0; i < plan.deep_supervision_weights.size(); ++i) {
    CheckNumber(absl::StrCat("deep_supervision_weights[", i, "]"), plan.deep_supervision_weights[i],
                problems);
  }
  CheckNumber("loss_balancing.gradnorm_alpha", plan.loss_balancing.gradnorm_alpha, problems);
  CheckNumber("loss_balancing.gradnorm_lambda", plan.loss_balancing.gradnorm_lambda, problems);
  for (const auto& [name, head] : plan.heads) {
    const std::string path = absl::StrCat("heads.", name);
    if (absl::StripAsciiWhitespace(name).empty() || ParsePredictionName(name).scale > 0) {
      problems.Add("heads", Quoted(name), "a name other than those of the scales, ds_1 to ds_4");
    }
    if (head.out_channels.has_value() && *head.out_channels < 1) {
      problems.Add(absl::StrCat(path, ".out_channels"), absl::StrCat(*head.out_channels),
                   "at least 1");
    }
    if (head.target_slice.has_value()) {
      const absl::Status status = CheckChannelSlice(*head.target_slice);
      if (!status.ok()) problems.Add(absl::StrCat(path, ".target_slice"), status.message());
    }
  }
  if (plan.primary_head.has_value() && !plan.heads.contains(*plan.primary_head)) {
    const std::vector<std::string> names = HeadNames(plan);
    problems.Add("primary_head", Quoted(*plan.primary_head),
                 absl::StrCat(names.empty() ? "none, as the plan has no heads"
                                            : absl::StrCat("one of ", absl::StrJoin(names, ", ")),
                              DidYouMean(*plan.primary_head, names)));
  }
}

}  // namespace

std::vector<std::string> HeadNames(const Plan& plan) {
  std::vector<std::string> names;
  for (const auto& [name, head] : plan.heads) names.push_back(name);
  return names;
}

std::vector<absl::Status> CheckPlan(const Plan& plan, CheckedPlan* checked) {
  std::vector<absl::Status> found;
  Problems problems("", found);
  CheckFrame(plan, problems);
  if (IsTooLarge(plan)) return found;

  CheckedPlan result;
  result.plan = plan;
  for (size_t i = 0; i < plan.losses.size(); ++i) {
    PlanTerm& term = result.terms.emplace_back();
    term.name = absl::StrCat("term_", i);
    term.path = absl::StrCat("losses[", i, "]");
    term.spec = plan.losses[i];
    CheckTerm(plan, term, found);
    result.plan.losses[i] = term.spec;
  }
  if (found.empty()) *checked = std::move(result);
  return found;
}

}  // namespace lossd
