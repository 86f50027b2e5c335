#include "lossd/plan/term_check.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/plan/channel_slice.h"
#include "lossd/plan/nearest_name.h"
#include "lossd/plan/problems.h"

namespace lossd {
namespace {

class TermCheck {
 public:
  TermCheck(const Plan& plan, PlanTerm& term, std::vector<absl::Status>& found)
      : plan_(plan), term_(term), spec_(term.spec), problems_(term.path, found) {}

  void Run() {
    if (!CheckLoss()) return;
    ResolveKinds();
    ResolveHeads();
    CheckSlices();
    InheritTargetSlice();
    ResolvePosWeight();
    CheckNumber("coefficient", spec_.coefficient, problems_);
  }

 private:
  // Whether it is one that a plan may have.
  bool CheckLoss() {
    if (!spec_.loss.has_value()) {
      problems_.Add("function", "none", "the name of a loss");
      return false;
    }
    term_.traits = &spec_.loss->traits();
    if (!term_.traits->usable_in_plan) {
      problems_.Add("function", term_.traits->name,
                    "a loss that a plan can compute from predictions and labels");
      return false;
    }
    const bool scalar = CheckScalar();
    const std::vector<absl::Status> mistakes = spec_.loss->Check();
    for (const absl::Status& mistake : mistakes) {
      // A loss that has no map says so, too.
      if (!scalar && ErrorField(mistake) == "reduction") continue;
      problems_.AddStatus("kwargs", mistake);
    }
    if (mistakes.empty()) term_.loss = spec_.loss->Make();
    return true;
  }

  // A term is a scalar: whether its options say so.
  bool CheckScalar() {
    bool scalar = true;
    for (const Option& option : spec_.loss->Options()) {
      const std::string value = TextOf(ValueOf(option));
      if (option.name == "reduction" && value == Word(Reduction::kNone)) {
        problems_.Add("kwargs.reduction", value, "mean or sum, as a term is a scalar");
        scalar = false;
      }
      // torch.nn's older spelling of the same.
      if (option.name == "reduce" && value == "false") {
        problems_.Add("kwargs.reduce", value, "true, as a term is a scalar");
        scalar = false;
      }
    }
    return scalar;
  }

  void ResolveKinds() {
    const LossTraits& traits = *term_.traits;
    if (!spec_.call_kind.has_value()) spec_.call_kind = traits.call_kind;
    if (spec_.call_kind != traits.call_kind) {
      problems_.Add("call_kind", Word(*spec_.call_kind),
                    absl::StrCat(Word(traits.call_kind), ", which ", traits.name, " computes"));
    }
    if (spec_.call_kind != CallKind::kPredTarget) {
      spec_.target_kind = TargetKind::kNone;
    } else if (!spec_.target_kind.has_value()) {
      spec_.target_kind = traits.target_kind;
    } else if (spec_.target_kind == TargetKind::kNone) {
      problems_.Add("target_kind", "none",
                    absl::StrCat("dense or class_index, as ", traits.name, " takes a target"));
    }
    if (!spec_.spatial_weight_arg.has_value()) spec_.spatial_weight_arg = traits.spatial_weight_arg;
    if (spec_.spatial_weight_arg != traits.spatial_weight_arg &&
        spec_.spatial_weight_arg != SpatialWeightArg::kNone) {
      problems_.Add("spatial_weight_arg", Word(*spec_.spatial_weight_arg),
                    absl::StrCat(Word(traits.spatial_weight_arg), ", as ", traits.name, " has"));
    }
  }

  void ResolveHeads() {
    term_.names_pred_head = spec_.pred_head.has_value();
    term_.names_pred2_head = spec_.pred2_head.has_value();
    const bool pred_pred = spec_.call_kind == CallKind::kPredPred;
    if (!pred_pred) {
      for (const auto& [given, field] : {std::pair{spec_.pred2_head.has_value(), "pred2_head"},
                                         std::pair{spec_.pred2_slice.has_value(), "pred2_slice"}}) {
        if (given) problems_.Add(field, "given, but only pred_pred terms have a second prediction");
      }
    }
    if (spec_.pred_head.has_value()) {
      CheckHead("pred_head", *spec_.pred_head);
    } else if (const std::string* fallback = DefaultHead(); fallback != nullptr) {
      spec_.pred_head = *fallback;
    }
    if (pred_pred && spec_.pred2_head.has_value()) {
      CheckHead("pred2_head", *spec_.pred2_head);
    } else if (pred_pred && spec_.pred_head.has_value()) {
      // Both predictions come from one head unless the plan says otherwise.
      spec_.pred2_head = *spec_.pred_head;
      term_.names_pred2_head = term_.names_pred_head;
    }
  }

  // The head of terms that name none; null when the plan has no heads, or, a mistake, several.
  const std::string* DefaultHead() {
    if (plan_.primary_head.has_value()) return &*plan_.primary_head;
    if (plan_.heads.size() == 1) return &plan_.heads.begin()->first;
    if (!plan_.heads.empty()) {
      problems_.Add("pred_head", "none",
                    absl::StrCat("one of ", absl::StrJoin(HeadNames(plan_), ", "),
                                 ", or the plan's primary_head"));
    }
    return nullptr;
  }

  void CheckHead(absl::string_view field, const std::string& name) {
    const std::vector<std::string> names = HeadNames(plan_);
    if (names.empty()) {
      problems_.Add(field, Quoted(name), "none, as the plan has no heads");
    } else if (!plan_.heads.contains(name)) {
      problems_.Add(field, Quoted(name),
                    absl::StrCat("one of ", absl::StrJoin(names, ", "), DidYouMean(name, names)));
    }
  }

  void CheckSlices() {
    const bool pred_pred = spec_.call_kind == CallKind::kPredPred;
    if (spec_.call_kind != CallKind::kPredTarget && !spec_.pred_slice.has_value()) {
      problems_.Add("pred_slice", "none",
                    absl::StrCat("a slice, as in every ", Word(*spec_.call_kind), " term"));
    }
    if (pred_pred && !spec_.pred2_slice.has_value()) {
      problems_.Add("pred2_slice", "none", "a slice, as in every pred_pred term");
    }
    CheckSlice("pred_slice", spec_.pred_slice, HeadOf(spec_.pred_head));
    if (pred_pred) CheckSlice("pred2_slice", spec_.pred2_slice, HeadOf(spec_.pred2_head));
    CheckSlice("target_slice", spec_.target_slice, nullptr);
    CheckSlice("mask_slice", spec_.mask_slice, nullptr);
  }

  // The head of that name; null when the plan has none.
  const Head* HeadOf(const std::optional<std::string>& name) const {
    const auto head = name.has_value() ? plan_.heads.find(*name) : plan_.heads.end();
    return head == plan_.heads.end() ? nullptr : &head->second;
  }

  // Against the head's channels when the plan tells them.
  void CheckSlice(absl::string_view field, const std::optional<ChannelSlice>& slice,
                  const Head* head) {
    if (!slice.has_value()) return;
    absl::Status status = CheckChannelSlice(*slice);
    if (status.ok() && head != nullptr && head->out_channels.value_or(0) > 0) {
      status = ResolveChannelSlice(*slice, *head->out_channels).status();
    }
    if (!status.ok()) problems_.Add(field, status.message());
  }

  void InheritTargetSlice() {
    if (spec_.target_slice.has_value() || spec_.call_kind != CallKind::kPredTarget) return;
    if (const Head* head = HeadOf(spec_.pred_head); head != nullptr) {
      spec_.target_slice = head->target_slice;
    }
  }

  void ResolvePosWeight() {
    if (spec_.spatial_weight_arg != SpatialWeightArg::kWeight) {
      if (spec_.pos_weight.has_value()) {
        problems_.Add("pos_weight",
                      absl::StrCat("given, but only losses with the spatial argument weight take "
                                   "one, and this term of ",
                                   term_.traits->name, " has ", Word(*spec_.spatial_weight_arg)));
      }
      return;
    }
    if (!spec_.pos_weight.has_value()) {
      const bool automatic = term_.traits->pos_weight_use == PosWeightUse::kBalancesClasses;
      spec_.pos_weight = automatic ? PosWeight() : PosWeight{.value = 1};
    }
    const std::optional<double>& value = spec_.pos_weight->value;
    if (!value.has_value()) return;
    CheckNumber("pos_weight", *value, problems_);
    if (*value <= 0) problems_.Add("pos_weight", absl::StrCat(*value), "a number > 0 or auto");
  }

  const Plan& plan_;
  PlanTerm& term_;
  Term& spec_;
  Problems problems_;
};

}  // namespace

void CheckTerm(const Plan& plan, PlanTerm& term, std::vector<absl::Status>& found) {
  TermCheck(plan, term, found).Run();
}

}  // namespace lossd
