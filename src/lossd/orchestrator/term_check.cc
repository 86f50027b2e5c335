#include "lossd/orchestrator/term_check.h"

#include <google/protobuf/descriptor.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/losses/registry.h"
#include "lossd/orchestrator/channel_slice.h"
#include "lossd/orchestrator/nearest_name.h"
#include "lossd/orchestrator/problems.h"
#include "lossd/orchestrator/vocabulary.h"

namespace lossd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

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
    Message* options = MutableOptionsOf(*spec_.mutable_loss());
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

void CheckTerm(const v1::Plan& plan, PlanTerm& term, std::vector<absl::Status>& found) {
  TermCheck(plan, term, found).Run();
}

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

}  // namespace lossd
