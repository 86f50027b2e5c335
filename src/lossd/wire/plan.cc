#include "lossd/wire/plan.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lossd/losses/option.h"
#include "lossd/wire/enums.h"
#include "lossd/wire/plan_document.h"

namespace lossd {
namespace {

using google::protobuf::Value;

v1::ChannelSlice ToMessage(const ChannelSlice& slice) {
  v1::ChannelSlice message;
  if (slice.start.has_value()) message.set_start(*slice.start);
  if (slice.stop.has_value()) message.set_stop(*slice.stop);
  return message;
}

void Set(bool flag, Value* value) { value->set_bool_value(flag); }
void Set(int64_t number, Value* value) { value->set_number_value(static_cast<double>(number)); }
void Set(double number, Value* value) { value->set_number_value(number); }
void Set(const std::string& word, Value* value) { value->set_string_value(word); }
void Set(std::monostate /*absent*/, Value* value) { value->set_null_value({}); }

void Set(const Offset& offset, Value* value) {
  for (const int64_t step : {offset.z, offset.y, offset.x}) {
    Set(step, value->mutable_list_value()->add_values());
  }
}

template <typename T>
void Set(const std::vector<T>& list, Value* value) {
  for (const T& item : list) Set(item, value->mutable_list_value()->add_values());
}

// The options that are not absent.
google::protobuf::Struct Kwargs(LossConfig loss) {
  google::protobuf::Struct kwargs;
  for (const Option& option : loss.Options()) {
    const OptionValue value = ValueOf(option);
    if (std::holds_alternative<std::monostate>(value)) continue;
    Value& field = (*kwargs.mutable_fields())[std::string(option.name)];
    std::visit([&](const auto& of) { Set(of, &field); }, value);
  }
  return kwargs;
}

v1::Term ToMessage(const Term& term) {
  v1::Term message;
  message.set_function(std::string(term.loss->traits().name));
  *message.mutable_kwargs() = Kwargs(*term.loss);
  message.set_coefficient(term.coefficient);
  if (term.pred_slice.has_value()) *message.mutable_pred_slice() = ToMessage(*term.pred_slice);
  if (term.target_slice.has_value()) {
    *message.mutable_target_slice() = ToMessage(*term.target_slice);
  }
  if (term.pred2_slice.has_value()) *message.mutable_pred2_slice() = ToMessage(*term.pred2_slice);
  if (term.mask_slice.has_value()) *message.mutable_mask_slice() = ToMessage(*term.mask_slice);
  if (term.pred_head.has_value()) message.set_pred_head(*term.pred_head);
  if (term.pred2_head.has_value()) message.set_pred2_head(*term.pred2_head);
  if (term.call_kind.has_value()) message.set_call_kind(ToWire<v1::CallKind>(*term.call_kind));
  if (term.target_kind.has_value()) {
    message.set_target_kind(ToWire<v1::TargetKind>(*term.target_kind));
  }
  if (term.spatial_weight_arg.has_value()) {
    message.set_spatial_weight_arg(ToWire<v1::SpatialWeightArg>(*term.spatial_weight_arg));
  }
  message.set_apply_deep_supervision(term.apply_deep_supervision);
  if (term.pos_weight.has_value()) {
    if (term.pos_weight->automatic()) {
      message.mutable_pos_weight()->set_automatic(true);
    } else {
      message.mutable_pos_weight()->set_value(*term.pos_weight->value);
    }
  }
  message.set_require_label_mask(term.require_label_mask);
  return message;
}

v1::Head ToMessage(const Head& head) {
  v1::Head message;
  if (head.target_slice.has_value()) {
    *message.mutable_target_slice() = ToMessage(*head.target_slice);
  }
  if (head.out_channels.has_value()) message.set_out_channels(*head.out_channels);
  return message;
}

v1::LossBalancing ToMessage(const LossBalancing& balancing) {
  v1::LossBalancing message;
  message.set_strategy(ToWire<v1::BalancingStrategy>(balancing.strategy));
  message.set_gradnorm_alpha(balancing.gradnorm_alpha);
  message.set_gradnorm_lambda(balancing.gradnorm_lambda);
  return message;
}

}  // namespace

PlanDocument ReadPlanSource(const v1::PlanSource& source) {
  if (source.has_text()) return ReadPlanDocument(source.text());
  PlanDocument document = ReadPlanDocument(*ToDocument(source.typed()));
  const std::vector<absl::Status> unknown = CheckKnownFields(source.typed());
  document.problems.insert(document.problems.end(), unknown.begin(), unknown.end());
  return document;
}

v1::Plan ToMessage(const Plan& plan) {
  v1::Plan message;
  for (const Term& term : plan.losses) *message.add_losses() = ToMessage(term);
  message.set_clamp_min(plan.clamp_min);
  message.set_clamp_max(plan.clamp_max);
  for (const double weight : plan.deep_supervision_weights) {
    message.add_deep_supervision_weights(weight);
  }
  for (const auto& [name, head] : plan.heads) (*message.mutable_heads())[name] = ToMessage(head);
  if (plan.primary_head.has_value()) message.set_primary_head(*plan.primary_head);
  *message.mutable_loss_balancing() = ToMessage(plan.loss_balancing);
  return message;
}

}  // namespace lossd
