#include "lossd/wire/plan_document.h"

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/base/words.h"
#include "lossd/losses/traits.h"
#include "lossd/plan/channel_slice.h"
#include "lossd/plan/nearest_name.h"
#include "lossd/plan/plan.h"
#include "lossd/wire/enums.h"

namespace lossd {
namespace {

using Node = DocumentNode;
using Kind = DocumentNode::Kind;

Node::Ref Plain(std::string text) {
  return std::make_shared<const Node>(Node{.kind = Kind::kScalar, .text = std::move(text)});
}

Node::Ref String(std::string text) {
  return std::make_shared<const Node>(
      Node{.kind = Kind::kScalar, .text = std::move(text), .quoted = true});
}

Node::Ref Flag(bool flag) { return Plain(flag ? "true" : "false"); }

// The shortest text that reads as the same number. An exponent keeps what a double does not hold
// exactly from being read as an integer.
Node::Ref Number(double number) {
  constexpr double kExact = int64_t{1} << 53;
  std::array<char, 32> text;
  const auto format =
      std::abs(number) <= kExact ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, format).ptr;
  return Plain(std::string(text.data(), end));
}

template <typename Enum, typename Message>
Node::Ref EnumWord(Message value) {
  return String(Word(FromWire<Enum>(value)));
}

Node::Ref Slice(const v1::ChannelSlice& slice) {
  ChannelSlice plain;
  if (slice.has_start()) plain.start = slice.start();
  if (slice.has_stop()) plain.stop = slice.stop();
  return String(FormatChannelSlice(plain));
}

Node::Ref Weight(const v1::PosWeight& weight) {
  switch (weight.kind_case()) {
    case v1::PosWeight::kValue:
      return Number(weight.value());
    case v1::PosWeight::kAutomatic:
      return String(weight.automatic() ? "auto" : "automatic: false");
    case v1::PosWeight::KIND_NOT_SET:
      break;
  }
  return std::make_shared<const Node>();
}

Node::Ref Value(const google::protobuf::Value& value);

Node::Ref Mapping(const google::protobuf::Struct& fields) {
  Node node = {.kind = Kind::kMapping};
  for (const auto& [key, value] : fields.fields()) node.entries.emplace_back(key, Value(value));
  // A map of protobuf's is in any order.
  std::sort(node.entries.begin(), node.entries.end());
  return std::make_shared<const Node>(std::move(node));
}

Node::Ref Value(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kBoolValue:
      return Flag(value.bool_value());
    case google::protobuf::Value::kNumberValue:
      return Number(value.number_value());
    case google::protobuf::Value::kStringValue:
      return String(value.string_value());
    case google::protobuf::Value::kStructValue:
      return Mapping(value.struct_value());
    case google::protobuf::Value::kListValue: {
      Node node = {.kind = Kind::kSequence};
      for (const auto& item : value.list_value().values()) node.items.push_back(Value(item));
      return std::make_shared<const Node>(std::move(node));
    }
    case google::protobuf::Value::kNullValue:
    case google::protobuf::Value::KIND_NOT_SET:
      break;
  }
  return std::make_shared<const Node>();
}

// A mapping that is being written.
class MappingWriter {
 public:
  void Add(std::string key, Node::Ref value) {
    node_.entries.emplace_back(std::move(key), std::move(value));
  }
  void AddIf(bool given, std::string key, Node::Ref value) {
    if (given) Add(std::move(key), std::move(value));
  }
  Node::Ref Take() { return std::make_shared<const Node>(std::move(node_)); }

 private:
  Node node_ = {.kind = Kind::kMapping};
};

Node::Ref ToDocument(const v1::Term& term) {
  MappingWriter mapping;
  mapping.AddIf(term.has_function(), "function", String(term.function()));
  mapping.AddIf(term.has_kwargs(), "kwargs", Mapping(term.kwargs()));
  mapping.AddIf(term.has_coefficient(), "coefficient", Number(term.coefficient()));
  mapping.AddIf(term.has_pred_slice(), "pred_slice", Slice(term.pred_slice()));
  mapping.AddIf(term.has_target_slice(), "target_slice", Slice(term.target_slice()));
  mapping.AddIf(term.has_pred2_slice(), "pred2_slice", Slice(term.pred2_slice()));
  mapping.AddIf(term.has_mask_slice(), "mask_slice", Slice(term.mask_slice()));
  mapping.AddIf(term.has_pred_head(), "pred_head", String(term.pred_head()));
  mapping.AddIf(term.has_pred2_head(), "pred2_head", String(term.pred2_head()));
  if (term.call_kind() != 0) mapping.Add("call_kind", EnumWord<CallKind>(term.call_kind()));
  if (term.target_kind() != 0) mapping.Add("target_kind", EnumWord<TargetKind>(term.target_kind()));
  if (term.spatial_weight_arg() != 0) {
    mapping.Add("spatial_weight_arg", EnumWord<SpatialWeightArg>(term.spatial_weight_arg()));
  }
  mapping.AddIf(term.has_apply_deep_supervision(), "apply_deep_supervision",
                Flag(term.apply_deep_supervision()));
  mapping.AddIf(term.has_pos_weight(), "pos_weight", Weight(term.pos_weight()));
  mapping.AddIf(term.has_require_label_mask(), "require_label_mask",
                Flag(term.require_label_mask()));
  return mapping.Take();
}

Node::Ref ToDocument(const v1::Head& head) {
  MappingWriter mapping;
  mapping.AddIf(head.has_target_slice(), "target_slice", Slice(head.target_slice()));
  mapping.AddIf(head.has_out_channels(), "out_channels", Plain(absl::StrCat(head.out_channels())));
  return mapping.Take();
}

Node::Ref ToDocument(const v1::LossBalancing& balancing) {
  MappingWriter mapping;
  if (balancing.strategy() != 0) {
    mapping.Add("strategy", EnumWord<BalancingStrategy>(balancing.strategy()));
  }
  mapping.AddIf(balancing.has_gradnorm_alpha(), "gradnorm_alpha",
                Number(balancing.gradnorm_alpha()));
  mapping.AddIf(balancing.has_gradnorm_lambda(), "gradnorm_lambda",
                Number(balancing.gradnorm_lambda()));
  return mapping.Take();
}

// Fields or enum values that this version does not know are in the wire's order, but what they mean
// is lost.
void CheckKnown(const std::string& path, const google::protobuf::Message& message,
                std::vector<absl::Status>& problems) {
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  if (unknown.empty()) return;
  problems.push_back(FieldError(path, absl::StrCat("field number ", unknown.field(0).number(),
                                                   " or its value is not known to this version")));
}

}  // namespace

Node::Ref ToDocument(const v1::Plan& plan) {
  Node losses = {.kind = Kind::kSequence};
  for (const v1::Term& term : plan.losses()) losses.items.push_back(ToDocument(term));
  Node weights = {.kind = Kind::kSequence};
  for (const double weight : plan.deep_supervision_weights()) {
    weights.items.push_back(Number(weight));
  }
  MappingWriter heads;
  for (const auto& [name, head] : plan.heads()) heads.Add(name, ToDocument(head));

  MappingWriter mapping;
  mapping.Add("losses", std::make_shared<const Node>(std::move(losses)));
  mapping.AddIf(plan.has_clamp_min(), "clamp_min", Number(plan.clamp_min()));
  mapping.AddIf(plan.has_clamp_max(), "clamp_max", Number(plan.clamp_max()));
  mapping.Add("deep_supervision_weights", std::make_shared<const Node>(std::move(weights)));
  mapping.Add("heads", heads.Take());
  mapping.AddIf(plan.has_primary_head(), "primary_head", String(plan.primary_head()));
  mapping.AddIf(plan.has_loss_balancing(), "loss_balancing", ToDocument(plan.loss_balancing()));
  return mapping.Take();
}

std::vector<absl::Status> CheckKnownFields(const v1::Plan& plan) {
  std::vector<absl::Status> problems;
  CheckKnown("plan", plan, problems);
  for (int i = 0; i < plan.losses_size(); ++i) {
    const v1::Term& term = plan.losses(i);
    const std::string path = absl::StrCat("losses[", i, "]");
    CheckKnown(path, term, problems);
    CheckKnown(path + ".kwargs", term.kwargs(), problems);
    CheckKnown(path + ".pred_slice", term.pred_slice(), problems);
    CheckKnown(path + ".target_slice", term.target_slice(), problems);
    CheckKnown(path + ".pred2_slice", term.pred2_slice(), problems);
    CheckKnown(path + ".mask_slice", term.mask_slice(), problems);
    CheckKnown(path + ".pos_weight", term.pos_weight(), problems);
  }
  for (const auto& [name, head] : plan.heads()) {
    const std::string path = absl::StrCat("heads.", Printable(name));
    CheckKnown(path, head, problems);
    CheckKnown(path + ".target_slice", head.target_slice(), problems);
  }
  CheckKnown("loss_balancing", plan.loss_balancing(), problems);
  return problems;
}

}  // namespace lossd
