#include "lossd/orchestrator/plan_check.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/orchestrator/channel_slice.h"
#include "lossd/orchestrator/nearest_name.h"
#include "lossd/orchestrator/prediction_name.h"
#include "lossd/orchestrator/problems.h"
#include "lossd/orchestrator/term_check.h"
#include "lossd/orchestrator/wire_check.h"

namespace lossd {
namespace {

// Real plans have a handful of either; each term is a pass over the volume.
constexpr int kMaxTerms = 256;
constexpr int kMaxHeads = 256;

bool IsTooLarge(const v1::Plan& plan) {
  return plan.losses_size() > kMaxTerms || plan.heads().size() > kMaxHeads;
}

// The plan's own fields.
void CheckFrame(const v1::Plan& plan, Problems& problems) {
  if (plan.losses().empty()) problems.Add("losses", "no terms", "at least one");
  if (plan.losses_size() > kMaxTerms) {
    problems.Add("losses", absl::StrCat(plan.losses_size(), " terms"),
                 absl::StrCat("at most ", kMaxTerms));
  }
  if (plan.heads().size() > kMaxHeads) {
    problems.Add("heads", absl::StrCat(plan.heads().size(), " heads"),
                 absl::StrCat("at most ", kMaxHeads));
  }
  if (IsTooLarge(plan)) return;
  if (plan.clamp_min() > plan.clamp_max()) {
    problems.Add("clamp_max", absl::StrCat(plan.clamp_max()),
                 absl::StrCat("at least clamp_min, ", plan.clamp_min()));
  }
  for (const std::string& name : HeadNames(plan)) {
    const v1::Head& head = plan.heads().at(name);
    const std::string path = absl::StrCat("heads.", name);
    if (absl::StripAsciiWhitespace(name).empty() || ParsePredictionName(name).scale > 0) {
      problems.Add("heads", Quoted(name), "a name other than those of the scales, ds_1 to ds_4");
    }
    if (head.has_out_channels() && head.out_channels() < 1) {
      problems.Add(absl::StrCat(path, ".out_channels"), absl::StrCat(head.out_channels()),
                   "at least 1");
    }
    if (head.has_target_slice()) {
      const absl::Status status = CheckChannelSlice(head.target_slice());
      if (!status.ok()) problems.Add(absl::StrCat(path, ".target_slice"), status.message());
    }
  }
  if (plan.has_primary_head() && !plan.heads().contains(plan.primary_head())) {
    const std::vector<std::string> names = HeadNames(plan);
    problems.Add("primary_head", Quoted(plan.primary_head()),
                 absl::StrCat(names.empty() ? "none, as the plan has no heads"
                                            : absl::StrCat("one of ", absl::StrJoin(names, ", ")),
                              DidYouMean(plan.primary_head(), names)));
  }
}

}  // namespace

std::vector<std::string> HeadNames(const v1::Plan& plan) {
  std::vector<std::string> names;
  for (const auto& [name, head] : plan.heads()) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<absl::Status> CheckPlan(const v1::Plan& plan, CheckedPlan* checked) {
  std::vector<absl::Status> found;
  Problems problems("", found);
  CheckWire(plan, problems);
  CheckFrame(plan, problems);
  if (IsTooLarge(plan)) return found;

  CheckedPlan result;
  result.plan = plan;
  result.plan.mutable_loss_balancing();
  FillDefaults(result.plan);
  FillDefaults(*result.plan.mutable_loss_balancing());
  for (int i = 0; i < plan.losses_size(); ++i) {
    PlanTerm& term = result.terms.emplace_back();
    term.name = absl::StrCat("term_", i);
    term.path = absl::StrCat("losses[", i, "]");
    term.spec = plan.losses(i);
    CheckTerm(plan, term, found);
    *result.plan.mutable_losses(i) = term.spec;
  }
  if (found.empty()) *checked = std::move(result);
  return found;
}

}  // namespace lossd
