#include "lossd/orchestrator/plan_check.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/orchestrator/channel_slice.h"
#include "lossd/orchestrator/nearest_name.h"
#include "lossd/orchestrator/prediction_name.h"
#include "lossd/orchestrator/vocabulary.h"

namespace lossd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Real plans have a handful; each term is a pass over the volume.
constexpr int kMaxTerms = 256;

// Collects mistakes, each about a field below `path`.
class Problems {
 public:
  Problems(std::string path, std::vector<absl::Status>& found)
      : path_(std::move(path)), found_(found) {}

  void Add(absl::string_view field, absl::string_view message) {
    found_.push_back(FieldError(Path(field), message));
  }
  void Add(absl::string_view field, absl::string_view given, absl::string_view expected) {
    found_.push_back(FieldError(Path(field), given, expected));
  }
  void AddStatus(absl::string_view prefix, const absl::Status& status) {
    found_.push_back(InField(Path(prefix), status));
  }

  std::string Path(absl::string_view field) const {
    return path_.empty() ? std::string(field) : absl::StrCat(path_, ".", field);
  }

 private:
  std::string path_;
  std::vector<absl::Status>& found_;
};

// Calls visit(path, message) for `message` and everything below it.
template <typename Visit>
void ForEachMessage(const std::string& path, const Message& message, const Visit& visit) {
  visit(path, message);
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->message_type() == nullptr) continue;
    const std::string below = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    if (!field->is_repeated()) {
      ForEachMessage(below, reflection.GetMessage(message, field), visit);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      ForEachMessage(absl::StrCat(below, "[", i, "]"),
                     reflection.GetRepeatedMessage(message, field, i), visit);
    }
  }
}

// Fields or enum values that this version does not know are in the wire's order, but what they mean
// is lost.
void CheckUnknownFields(const v1::Plan& plan, Problems& problems) {
  ForEachMessage("", plan, [&](const std::string& path, const Message& message) {
    const auto& unknown = message.GetReflection()->GetUnknownFields(message);
    if (unknown.empty()) return;
    problems.Add(path.empty() ? "plan" : path,
                 absl::StrCat("field number ", unknown.field(0).number(),
                              " or its value is not known to this version"));
  });
}

// Losses are computed in float32, where a larger number is infinite.
void CheckNumbers(const v1::Plan& plan, Problems& problems) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  ForEachMessage("", plan, [&](const std::string& path, const Message& message) {
    const Reflection& reflection = *message.GetReflection();
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE) continue;
      const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
      for (int i = 0; i < size; ++i) {
        const double value = field->is_repeated() ? reflection.GetRepeatedDouble(message, field, i)
                                                  : reflection.GetDouble(message, field);
        if (std::abs(value) <= kLargest) continue;
        const std::string name =
            path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
        problems.Add(field->is_repeated() ? absl::StrCat(name, "[", i, "]") : name,
                     absl::StrCat(value), "a number that is finite in float32");
      }
    }
  });
}

// Sets every field that has a default and no value.
void FillDefaults(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const auto* descriptor = message.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->is_repeated() || !field->has_default_value() ||
        reflection.HasField(message, field)) {
      continue;
    }
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        reflection.SetBool(&message, field, field->default_value_bool());
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        reflection.SetInt64(&message, field, field->default_value_int64());
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        reflection.SetDouble(&message, field, field->default_value_double());
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        reflection.SetEnum(&message, field, field->default_value_enum());
        break;
      default:
        break;
    }
  }
}

// The options message that is set in `options`.
Message* MutableLossMessage(v1::LossOptions& options) {
  const Reflection& reflection = *options.GetReflection();
  const auto* oneof = v1::LossOptions::descriptor()->FindOneofByName("loss");
  const FieldDescriptor* field = reflection.GetOneofFieldDescriptor(options, oneof);
  return field == nullptr ? nullptr : reflection.MutableMessage(&options, field);
}

// The plan's own fields.
void CheckFrame(const v1::Plan& plan, Problems& problems) {
  if (plan.losses().empty()) problems.Add("losses", "no terms", "at least one");
  if (plan.losses_size() > kMaxTerms) {
    problems.Add("losses", absl::StrCat(plan.losses_size(), " terms"),
                 absl::StrCat("at most ", kMaxTerms));
  }
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

// One term: resolves its spec in place.
class TermCheck {
 public:
  TermCheck(const v1::Plan& plan, PlanTerm& term, std::vector<absl::Status>& found)
      : plan_(plan), term_(term), spec_(term.spec), problems_(term.path, found) {}

  void Run() {
    if (!CheckLoss()) return;
    ResolveKinds();
    ResolveHeads();
    CheckSlices();
    InheritTargetSlice();
    ResolvePosWeight();
    FillDefaults(spec_);
  }

 private:
  bool CheckLoss() {
    Message* options = MutableLossMessage(*spec_.mutable_loss());
    if (options == nullptr) {
      problems_.Add("function", "none", "the name of a loss");
      return false;
    }
    const absl::string_view name = LossName(spec_.loss());
    term_.traits = FindLoss(name);
    if (term_.traits == nullptr) {
      problems_.Add("function", absl::StrCat("unknown loss ", Quoted(name)));
      return false;
    }
    if (!term_.traits->usable_in_plan) {
      problems_.Add("function", name, "a loss that a plan can compute from predictions and labels");
      return false;
    }
    CheckReduction(*options);
    auto loss = term_.traits->create(spec_.loss());
    if (!loss.ok()) {
      problems_.AddStatus("kwargs", loss.status());
      return false;
    }
    term_.loss = *std::move(loss);
    FillDefaults(*options);
    return true;
  }

  // A term is a scalar.
  void CheckReduction(const Message& options) {
    const Reflection& reflection = *options.GetReflection();
    const auto* descriptor = options.GetDescriptor();
    const FieldDescriptor* reduction = descriptor->FindFieldByName("reduction");
    if (reduction != nullptr && reflection.GetEnumValue(options, reduction) == v1::REDUCTION_NONE) {
      problems_.Add("kwargs.reduction", "none", "mean or sum, as a term is a scalar");
    }
    // torch.nn's older spelling of the same.
    const FieldDescriptor* reduce = descriptor->FindFieldByName("reduce");
    if (reduce != nullptr && reflection.HasField(options, reduce) &&
        !reflection.GetBool(options, reduce)) {
      problems_.Add("kwargs.reduce", "false", "true, as a term is a scalar");
    }
  }

  void ResolveKinds() {
    const LossTraits& traits = *term_.traits;
    if (spec_.call_kind() == v1::CALL_KIND_UNSPECIFIED) spec_.set_call_kind(traits.call_kind);
    if (spec_.call_kind() != traits.call_kind) {
      problems_.Add("call_kind", Word(spec_.call_kind()),
                    absl::StrCat(Word(traits.call_kind), ", which ", traits.name, " computes"));
    }
    if (spec_.call_kind() != v1::CALL_KIND_PRED_TARGET) {
      spec_.set_target_kind(v1::TARGET_KIND_NONE);
    } else if (spec_.target_kind() == v1::TARGET_KIND_UNSPECIFIED) {
      spec_.set_target_kind(traits.target_kind);
    } else if (spec_.target_kind() == v1::TARGET_KIND_NONE) {
      problems_.Add("target_kind", "none",
                    absl::StrCat("dense or class_index, as ", traits.name, " takes a target"));
    }
    if (spec_.spatial_weight_arg() == v1::SPATIAL_WEIGHT_ARG_UNSPECIFIED) {
      spec_.set_spatial_weight_arg(traits.spatial_weight_arg);
    }
    if (spec_.spatial_weight_arg() != traits.spatial_weight_arg &&
        spec_.spatial_weight_arg() != v1::SPATIAL_WEIGHT_ARG_NONE) {
      problems_.Add("spatial_weight_arg", Word(spec_.spatial_weight_arg()),
                    absl::StrCat(Word(traits.spatial_weight_arg), ", as ", traits.name, " has"));
    }
  }

  void ResolveHeads() {
    term_.names_pred_head = spec_.has_pred_head();
    term_.names_pred2_head = spec_.has_pred2_head();
    const bool pred_pred = spec_.call_kind() == v1::CALL_KIND_PRED_PRED;
    if (!pred_pred) {
      for (const auto& [given, field] : {std::pair{spec_.has_pred2_head(), "pred2_head"},
                                         std::pair{spec_.has_pred2_slice(), "pred2_slice"}}) {
        if (given) problems_.Add(field, "given, but only pred_pred terms have a second prediction");
      }
    }
    if (spec_.has_pred_head()) {
      CheckHead("pred_head", spec_.pred_head());
    } else if (const std::string* fallback = DefaultHead(); fallback != nullptr) {
      spec_.set_pred_head(*fallback);
    }
    if (pred_pred && spec_.has_pred2_head()) {
      CheckHead("pred2_head", spec_.pred2_head());
    } else if (pred_pred && spec_.has_pred_head()) {
      // Both predictions come from one head unless the plan says otherwise.
      spec_.set_pred2_head(spec_.pred_head());
      term_.names_pred2_head = term_.names_pred_head;
    }
  }

  // The head of terms that name none; null when the plan has no heads, or, a mistake, several.
  const std::string* DefaultHead() {
    if (plan_.has_primary_head()) return &plan_.primary_head();
    if (plan_.heads().size() == 1) return &plan_.heads().begin()->first;
    if (!plan_.heads().empty()) {
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
    } else if (!plan_.heads().contains(name)) {
      problems_.Add(field, Quoted(name),
                    absl::StrCat("one of ", absl::StrJoin(names, ", "), DidYouMean(name, names)));
    }
  }

  void CheckSlices() {
    const bool pred_pred = spec_.call_kind() == v1::CALL_KIND_PRED_PRED;
    if (spec_.call_kind() != v1::CALL_KIND_PRED_TARGET && !spec_.has_pred_slice()) {
      problems_.Add("pred_slice", "none",
                    absl::StrCat("a slice, as in every ", Word(spec_.call_kind()), " term"));
    }
    if (pred_pred && !spec_.has_pred2_slice()) {
      problems_.Add("pred2_slice", "none", "a slice, as in every pred_pred term");
    }
    if (spec_.has_pred_slice()) CheckSlice("pred_slice", spec_.pred_slice(), spec_.pred_head());
    if (pred_pred && spec_.has_pred2_slice()) {
      CheckSlice("pred2_slice", spec_.pred2_slice(), spec_.pred2_head());
    }
    if (spec_.has_target_slice()) CheckSlice("target_slice", spec_.target_slice(), "");
    if (spec_.has_mask_slice()) CheckSlice("mask_slice", spec_.mask_slice(), "");
  }

  // Against the head's channels when the plan tells them.
  void CheckSlice(absl::string_view field, const v1::ChannelSlice& slice,
                  const std::string& head_name) {
    absl::Status status = CheckChannelSlice(slice);
    const auto head = plan_.heads().find(head_name);
    if (status.ok() && head != plan_.heads().end() && head->second.out_channels() > 0) {
      status = ResolveChannelSlice(slice, head->second.out_channels()).status();
    }
    if (!status.ok()) problems_.Add(field, status.message());
  }

  void InheritTargetSlice() {
    const auto head = plan_.heads().find(spec_.pred_head());
    if (head != plan_.heads().end() && !spec_.has_target_slice() &&
        head->second.has_target_slice() && spec_.call_kind() == v1::CALL_KIND_PRED_TARGET) {
      *spec_.mutable_target_slice() = head->second.target_slice();
    }
  }

  void ResolvePosWeight() {
    if (spec_.spatial_weight_arg() != v1::SPATIAL_WEIGHT_ARG_WEIGHT) {
      if (spec_.has_pos_weight()) {
        problems_.Add("pos_weight",
                      absl::StrCat("given, but only losses with the spatial argument weight take "
                                   "one, and this term of ",
                                   term_.traits->name, " has ", Word(spec_.spatial_weight_arg())));
      }
      return;
    }
    v1::PosWeight& weight = *spec_.mutable_pos_weight();
    switch (weight.kind_case()) {
      case v1::PosWeight::kValue:
        if (!(weight.value() > 0)) {
          problems_.Add("pos_weight", absl::StrCat(weight.value()), "a number > 0 or auto");
        }
        break;
      case v1::PosWeight::kAutomatic:
        if (!weight.automatic()) {
          problems_.Add("pos_weight", "automatic: false", "a number > 0 or auto");
        }
        break;
      case v1::PosWeight::KIND_NOT_SET:
        // The BCE losses have a weight of positives of their own.
        if (spec_.loss().has_weighted_bce_with_logits() ||
            spec_.loss().has_per_channel_bce_with_logits()) {
          weight.set_value(1);
        } else {
          weight.set_automatic(true);
        }
    }
  }

  const v1::Plan& plan_;
  PlanTerm& term_;
  v1::Term& spec_;
  Problems problems_;
};

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
  CheckUnknownFields(plan, problems);
  CheckNumbers(plan, problems);
  CheckFrame(plan, problems);
  if (plan.losses_size() > kMaxTerms) return found;

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
    TermCheck(plan, term, found).Run();
    *result.plan.mutable_losses(i) = term.spec;
  }
  if (found.empty()) *checked = std::move(result);
  return found;
}

}  // namespace lossd
