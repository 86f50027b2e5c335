#include "lossd/orchestrator/plan_schema.h"

#include <algorithm>

#include "absl/strings/strip.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {
namespace {

bool Contains(absl::Span<const absl::string_view> names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

absl::string_view PlanSchema::FieldOfAlias(absl::string_view key) const {
  const auto* const alias = std::find_if(aliases.begin(), aliases.end(),
                                         [&](const Alias& a) { return a.spelling == key; });
  return alias == aliases.end() ? absl::string_view() : alias->field;
}

bool PlanSchema::Ignores(absl::string_view key) const {
  return Contains(read_elsewhere, key) || Contains(without_effect, key);
}

bool PlanSchema::Hides(absl::string_view field) const { return Contains(hidden, field); }

PlanSchema SchemaOf(const google::protobuf::Descriptor* message) {
  static constexpr PlanSchema::Alias kTermAliases[] = {
      {"weight", "coefficient"}, {"pred", "pred_slice"}, {"target", "target_slice"},
      {"pred2", "pred2_slice"},  {"mask", "mask_slice"}, {"call", "call_kind"},
  };
  static constexpr absl::string_view kTermReadElsewhere[] = {"function", "kwargs"};
  static constexpr absl::string_view kTermHidden[] = {"loss"};
  static constexpr PlanSchema::Alias kPlanAliases[] = {
      {"deep_supervision_clamp_min", "clamp_min"},
      {"deep_supervision_clamp_max", "clamp_max"},
  };
  static constexpr absl::string_view kPlanWithoutEffect[] = {"deep_supervision"};
  static constexpr absl::string_view kHeadWithoutEffect[] = {"num_blocks", "hidden_channels"};
  static constexpr absl::string_view kBalancingWithoutEffect[] = {"gradnorm_parameter_strategy"};

  if (message == v1::Term::descriptor()) {
    return {kTermAliases, kTermReadElsewhere, {}, kTermHidden};
  }
  if (message == v1::Plan::descriptor()) return {kPlanAliases, {}, kPlanWithoutEffect, {}};
  if (message == v1::Head::descriptor()) return {{}, {}, kHeadWithoutEffect, {}};
  if (message == v1::LossBalancing::descriptor()) return {{}, {}, kBalancingWithoutEffect, {}};
  return {};
}

std::vector<std::string> KeysOf(const google::protobuf::Descriptor* message) {
  const PlanSchema schema = SchemaOf(message);
  std::vector<std::string> keys;
  for (int i = 0; i < message->field_count(); ++i) {
    if (!schema.Hides(message->field(i)->name())) keys.push_back(message->field(i)->name());
  }
  for (const auto& alias : schema.aliases) keys.emplace_back(alias.spelling);
  for (const absl::string_view key : schema.read_elsewhere) keys.emplace_back(key);
  for (const absl::string_view key : schema.without_effect) keys.emplace_back(key);
  return keys;
}

std::string LossOfOptions(const google::protobuf::Descriptor* options) {
  return std::string(absl::StripSuffix(options->name(), "Options"));
}

}  // namespace lossd
