#include "lossd/orchestrator/plan_reader.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "lossd/base/error.h"
#include "lossd/orchestrator/channel_slice.h"
#include "lossd/orchestrator/document.h"
#include "lossd/orchestrator/nearest_name.h"
#include "lossd/orchestrator/vocabulary.h"

namespace lossd {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Kind = DocumentNode::Kind;

// Enough to mend a plan by; a megabyte of rubbish need not be described in full.
constexpr size_t kMaxProblems = 100;

// How a message is written: other spellings of its fields, keys that are read elsewhere, and keys
// that are accepted and have no effect here.
struct Schema {
  struct Alias {
    absl::string_view spelling;
    absl::string_view field;
  };
  absl::Span<const Alias> aliases;
  absl::Span<const absl::string_view> read_elsewhere;
  absl::Span<const absl::string_view> without_effect;
  // Fields of the message that have no key of their own.
  absl::Span<const absl::string_view> hidden;
};

Schema SchemaOf(const Descriptor* descriptor) {
  static constexpr Schema::Alias kTermAliases[] = {
      {"weight", "coefficient"}, {"pred", "pred_slice"}, {"target", "target_slice"},
      {"pred2", "pred2_slice"},  {"mask", "mask_slice"}, {"call", "call_kind"},
  };
  static constexpr absl::string_view kTermReadElsewhere[] = {"function", "kwargs"};
  static constexpr absl::string_view kTermHidden[] = {"loss"};
  static constexpr Schema::Alias kPlanAliases[] = {
      {"deep_supervision_clamp_min", "clamp_min"},
      {"deep_supervision_clamp_max", "clamp_max"},
  };
  static constexpr absl::string_view kPlanWithoutEffect[] = {"deep_supervision"};
  static constexpr absl::string_view kHeadWithoutEffect[] = {"num_blocks", "hidden_channels"};
  static constexpr absl::string_view kBalancingWithoutEffect[] = {"gradnorm_parameter_strategy"};

  if (descriptor == v1::Term::descriptor()) {
    return {kTermAliases, kTermReadElsewhere, {}, kTermHidden};
  }
  if (descriptor == v1::Plan::descriptor()) return {kPlanAliases, {}, kPlanWithoutEffect, {}};
  if (descriptor == v1::Head::descriptor()) return {{}, {}, kHeadWithoutEffect, {}};
  if (descriptor == v1::LossBalancing::descriptor()) return {{}, {}, kBalancingWithoutEffect, {}};
  return {};
}

template <typename Range>
bool Contains(const Range& range, absl::string_view value) {
  return std::find(range.begin(), range.end(), value) != range.end();
}

// The keys that a message may be written with.
std::vector<std::string> Keys(const Descriptor* descriptor, const Schema& schema) {
  std::vector<std::string> keys;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    if (!Contains(schema.hidden, descriptor->field(i)->name())) {
      keys.push_back(descriptor->field(i)->name());
    }
  }
  for (const auto& alias : schema.aliases) keys.emplace_back(alias.spelling);
  for (const absl::string_view key : schema.read_elsewhere) keys.emplace_back(key);
  for (const absl::string_view key : schema.without_effect) keys.emplace_back(key);
  return keys;
}

// "WeightedMSELossOptions" are the options of WeightedMSELoss.
std::string LossOf(const Descriptor* options) {
  return std::string(absl::StripSuffix(options->name(), "Options"));
}

// What a value is, for an error message.
std::string Describe(const DocumentNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kSequence:
      return absl::StrCat("a list of ", node.items.size());
    case Kind::kMapping:
      return "a mapping";
    case Kind::kScalar:
      break;
  }
  return node.quoted ? absl::StrCat("the string ", Quoted(node.text)) : Quoted(node.text);
}

// The bool, integer or number that an unquoted scalar is, by the rules that OmegaConf users know:
// yes and on are bools, 1e-5 is a number.
std::optional<bool> AsBool(const DocumentNode& node) {
  if (node.kind != Kind::kScalar || node.quoted) return std::nullopt;
  for (const absl::string_view word : {"true", "yes", "on"}) {
    if (absl::EqualsIgnoreCase(node.text, word)) return true;
  }
  for (const absl::string_view word : {"false", "no", "off"}) {
    if (absl::EqualsIgnoreCase(node.text, word)) return false;
  }
  return std::nullopt;
}

std::optional<int64_t> AsInteger(const DocumentNode& node) {
  if (node.kind != Kind::kScalar || node.quoted) return std::nullopt;
  const absl::string_view digits = absl::StripPrefix(absl::StripPrefix(node.text, "-"), "+");
  // YAML 1.1 takes 010 for 8, YAML 1.2 for 10.
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  int64_t value = 0;
  return absl::SimpleAtoi(node.text, &value) ? std::optional(value) : std::nullopt;
}

std::optional<double> AsNumber(const DocumentNode& node) {
  if (node.kind != Kind::kScalar || node.quoted) return std::nullopt;
  const bool plain = node.text.find_first_not_of("+-.0123456789eE") == std::string::npos;
  // Losses are computed in float32, where a larger number is infinite.
  constexpr double kLargest = std::numeric_limits<float>::max();
  double value = 0;
  const bool number = plain && absl::SimpleAtod(node.text, &value) && std::abs(value) <= kLargest;
  return number ? std::optional(value) : std::nullopt;
}

// Reads a document into a plan, collecting every mistake.
class Reader {
 public:
  std::vector<absl::Status> TakeProblems() { return std::move(problems_); }

  void ReadRoot(const DocumentNode& root, v1::Plan* plan) {
    if (root.kind == Kind::kSequence) {
      ReadField(root, "losses", plan, v1::Plan::descriptor()->FindFieldByName("losses"));
    } else if (root.kind != Kind::kMapping) {
      Problem("plan", Describe(root), "a mapping with losses, or a list of terms");
    } else if (Has(root, "losses")) {
      ReadMessage(root, "", plan);
    } else if (Has(root, "loss")) {
      ReadModel(root, plan);
    } else if (const DocumentNode* model = FindMapping(root, {"model"}); model != nullptr) {
      ReadModel(*model, plan);
    } else if (model = FindMapping(root, {"default", "model"}); model != nullptr) {
      ReadStagedConfig(root, *model, plan);
    } else {
      MissingLosses(root);
    }
  }

 private:
  static bool Has(const DocumentNode& node, absl::string_view key) {
    return std::any_of(node.entries.begin(), node.entries.end(),
                       [&](const auto& entry) { return entry.first == key; });
  }

  static const DocumentNode* FindMapping(const DocumentNode& root,
                                         std::initializer_list<absl::string_view> path) {
    const DocumentNode* node = &root;
    for (const absl::string_view key : path) {
      node = node->Find(key);
      if (node == nullptr || node->kind != Kind::kMapping) return nullptr;
    }
    return node;
  }

  static std::string Join(absl::string_view path, absl::string_view key) {
    return path.empty() ? std::string(key) : absl::StrCat(path, ".", key);
  }

  void Problem(absl::string_view field, absl::string_view given, absl::string_view expected) {
    Problem(field, absl::StrCat("got ", given, ", expected ", expected));
  }
  void Problem(absl::string_view field, absl::string_view message) {
    if (problems_.size() < kMaxProblems) problems_.push_back(FieldError(field, message));
  }

  void UnknownKey(absl::string_view path, absl::string_view key,
                  const std::vector<std::string>& keys) {
    if (problems_.size() == kMaxProblems) return;  // Looking for the nearest name takes time.
    Problem(Join(path, Printable(key)), absl::StrCat("unknown field", MeantOrKnown(key, keys)));
  }

  // What may have been meant, else what there is to choose from.
  static std::string MeantOrKnown(absl::string_view name, const std::vector<std::string>& names) {
    if (names.empty()) return " (there are none)";
    const std::string meant = DidYouMean(name, names);
    return meant.empty() ? absl::StrCat(" (known: ", absl::StrJoin(names, ", "), ")") : meant;
  }

  // A key as part of a field's path.
  static std::string Printable(absl::string_view key) {
    const std::string quoted = Quoted(key);
    return quoted.substr(1, quoted.size() - 2);
  }

  void MissingLosses(const DocumentNode& mapping) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : mapping.entries) keys.push_back(Printable(key));
    if (keys.size() > 10) keys.resize(10);
    Problem("losses",
            absl::StrCat("missing (there is ", keys.empty() ? "nothing" : absl::StrJoin(keys, ", "),
                         "), expected a mapping with losses, a list of terms, or a "
                         "training config with model.loss"));
  }

  // A `model` section: its loss section, and what it says about heads.
  void ReadModel(const DocumentNode& model, v1::Plan* plan) {
    const DocumentNode* loss = model.Find("loss");
    if (loss == nullptr || loss->kind != Kind::kMapping) return MissingLosses(model);
    if (loss->Find("profile") != nullptr) {
      return Problem("profile",
                     "names losses that only the trainer knows; expected losses, spelled out");
    }
    ReadMessage(*loss, "", plan);
    for (const char* key : {"heads", "primary_head"}) {
      const DocumentNode* value = model.Find(key);
      if (value == nullptr) continue;
      if (loss->Find(key) != nullptr) {
        Problem(key, "given twice, by the model and by its loss section");
      } else {
        ReadField(*value, key, plan, v1::Plan::descriptor()->FindFieldByName(key));
      }
    }
  }

  // A config whose `default` stage holds the model. What other stages override would need the
  // trainer's own merging.
  void ReadStagedConfig(const DocumentNode& root, const DocumentNode& model, v1::Plan* plan) {
    if (FindMapping(root, {"train", "model"}) != nullptr) {
      return Problem(
          "train.model",
          "overrides default.model, which is not merged here; expected the resolved config");
    }
    ReadModel(model, plan);
  }

  // The entries of a mapping into the message's fields.
  void ReadMessage(const DocumentNode& node, const std::string& path, Message* message) {
    if (node.kind == Kind::kNull) return;
    const Descriptor* descriptor = message->GetDescriptor();
    const Schema schema = SchemaOf(descriptor);
    if (node.kind != Kind::kMapping) {
      return Problem(
          path, Describe(node),
          descriptor == v1::Term::descriptor()
              ? "a mapping such as {function: MSELoss}"
              : absl::StrCat("a mapping of ", absl::StrJoin(Keys(descriptor, schema), ", ")));
    }
    // Other spellings first: a field's own name wins.
    for (const bool own_name : {false, true}) {
      for (const auto& [key, value] : node.entries) {
        const auto alias = std::find_if(schema.aliases.begin(), schema.aliases.end(),
                                        [&key = key](const auto& a) { return a.spelling == key; });
        const bool is_alias = alias != schema.aliases.end();
        if (is_alias == own_name || Contains(schema.read_elsewhere, key) ||
            Contains(schema.without_effect, key)) {
          continue;
        }
        const FieldDescriptor* field =
            Contains(schema.hidden, key)
                ? nullptr
                : descriptor->FindFieldByName(is_alias ? std::string(alias->field) : key);
        if (field == nullptr) {
          UnknownKey(path, key, Keys(descriptor, schema));
        } else if (value->kind != Kind::kNull) {
          ReadField(*value, Join(path, key), message, field);
        }
      }
    }
    if (descriptor == v1::Term::descriptor()) {
      ReadFunction(node, path, static_cast<v1::Term*>(message)->mutable_loss());
    }
  }

  // `function` names the field of `options`, `kwargs` fills it.
  void ReadFunction(const DocumentNode& term, const std::string& path, v1::LossOptions* options) {
    const DocumentNode* function = term.Find("function");
    if (function == nullptr) {
      return Problem(Join(path, "function"), "missing, expected the name of a loss");
    }
    if (function->kind != Kind::kScalar) {
      return Problem(Join(path, "function"), Describe(*function), "the name of a loss");
    }
    std::vector<std::string> names;
    const Descriptor* descriptor = v1::LossOptions::descriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      names.push_back(LossOf(field->message_type()));
      if (names.back() != function->text) continue;
      Message* loss = options->GetReflection()->MutableMessage(options, field);
      if (const DocumentNode* kwargs = term.Find("kwargs"); kwargs != nullptr) {
        ReadMessage(*kwargs, Join(path, "kwargs"), loss);
      }
      return;
    }
    Problem(Join(path, "function"), absl::StrCat("unknown loss ", Quoted(function->text),
                                                 MeantOrKnown(function->text, names)));
  }

  // A value, or the values, of a field.
  void ReadField(const DocumentNode& node, const std::string& path, Message* message,
                 const FieldDescriptor* field) {
    const Reflection& reflection = *message->GetReflection();
    if (field->is_map()) {
      ReadMap(node, path, message, field);
    } else if (!field->is_repeated()) {
      if (field->message_type() == nullptr) {
        ReadScalar(node, path, message, field);
      } else {
        ReadMessageValue(node, path, reflection.MutableMessage(message, field));
      }
    } else if (node.kind == Kind::kSequence) {
      for (size_t i = 0; i < node.items.size(); ++i) {
        ReadElement(*node.items[i], absl::StrCat(path, "[", i, "]"), message, field);
      }
    } else if (field->message_type() == nullptr) {
      // One number where a list may stand: malis_crop_size: 64.
      ReadElement(node, path, message, field);
    } else {
      Problem(path, Describe(node), "a list");
    }
  }

  void ReadElement(const DocumentNode& node, const std::string& path, Message* message,
                   const FieldDescriptor* field) {
    if (field->message_type() == nullptr) return ReadScalar(node, path, message, field);
    Message* element = message->GetReflection()->AddMessage(message, field);
    if (node.kind == Kind::kNull) return Problem(path, "null", "a value");
    ReadMessageValue(node, path, element);
  }

  void ReadMap(const DocumentNode& node, const std::string& path, Message* message,
               const FieldDescriptor* field) {
    if (node.kind != Kind::kMapping) return Problem(path, Describe(node), "a mapping");
    const FieldDescriptor* key_field = field->message_type()->map_key();
    const FieldDescriptor* value_field = field->message_type()->map_value();
    for (const auto& [key, value] : node.entries) {
      Message* entry = message->GetReflection()->AddMessage(message, field);
      const Reflection& reflection = *entry->GetReflection();
      reflection.SetString(entry, key_field, key);
      ReadMessageValue(*value, Join(path, Printable(key)),
                       reflection.MutableMessage(entry, value_field));
    }
  }

  // Messages that are written as something else than a mapping, and the others.
  void ReadMessageValue(const DocumentNode& node, const std::string& path, Message* message) {
    const Descriptor* type = message->GetDescriptor();
    if (type == v1::ChannelSlice::descriptor()) {
      ReadChannelSlice(node, path, static_cast<v1::ChannelSlice*>(message));
    } else if (type == v1::PosWeight::descriptor()) {
      ReadPosWeight(node, path, static_cast<v1::PosWeight*>(message));
    } else if (type == v1::Offset::descriptor()) {
      ReadOffset(node, path, static_cast<v1::Offset*>(message));
    } else {
      ReadMessage(node, path, message);
    }
  }

  void ReadChannelSlice(const DocumentNode& node, const std::string& path,
                        v1::ChannelSlice* slice) {
    if (node.kind != Kind::kScalar) {
      return Problem(path, Describe(node), R"(a channel index or "start:stop")");
    }
    auto parsed = ParseChannelSlice(node.text);
    if (!parsed.ok()) return Problem(path, parsed.status().message());
    *slice = *std::move(parsed);
  }

  void ReadPosWeight(const DocumentNode& node, const std::string& path, v1::PosWeight* weight) {
    if (const auto number = AsNumber(node); number.has_value()) {
      weight->set_value(*number);
    } else if (node.kind == Kind::kScalar &&
               absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(node.text), "auto")) {
      weight->set_automatic(true);
    } else {
      Problem(path, Describe(node), "a number > 0 or auto");
    }
  }

  void ReadOffset(const DocumentNode& node, const std::string& path, v1::Offset* offset) {
    constexpr absl::string_view kExpected = "an offset [z, y, x] of three integers";
    if (node.kind != Kind::kSequence || node.items.size() != 3) {
      return Problem(path, Describe(node), kExpected);
    }
    std::array<int64_t, 3> zyx = {};
    for (size_t i = 0; i < zyx.size(); ++i) {
      const auto value = AsInteger(*node.items[i]);
      if (!value.has_value()) {
        return Problem(absl::StrCat(path, "[", i, "]"), Describe(*node.items[i]), "an integer");
      }
      zyx[i] = *value;
    }
    offset->set_z(zyx[0]);
    offset->set_y(zyx[1]);
    offset->set_x(zyx[2]);
  }

  // Sets a field, or adds to a repeated one.
  void ReadScalar(const DocumentNode& node, const std::string& path, Message* message,
                  const FieldDescriptor* field) {
    const Reflection& reflection = *message->GetReflection();
    const auto put = [&](auto set, auto add, const auto& value) {
      if (field->is_repeated()) {
        (reflection.*add)(message, field, value);
      } else {
        (reflection.*set)(message, field, value);
      }
    };
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        if (const auto value = AsBool(node); value.has_value()) {
          return put(&Reflection::SetBool, &Reflection::AddBool, *value);
        }
        return Problem(path, Describe(node), "true or false");
      case FieldDescriptor::CPPTYPE_INT64:
        if (const auto value = AsInteger(node); value.has_value()) {
          return put(&Reflection::SetInt64, &Reflection::AddInt64, *value);
        }
        return Problem(path, Describe(node), "an integer");
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (const auto value = AsNumber(node); value.has_value()) {
          return put(&Reflection::SetDouble, &Reflection::AddDouble, *value);
        }
        return Problem(path, Describe(node), "a number that is finite in float32");
      case FieldDescriptor::CPPTYPE_ENUM:
        if (const auto* value = ReadWord(node, path, field->enum_type()); value != nullptr) {
          put(&Reflection::SetEnum, &Reflection::AddEnum, value);
        }
        return;
      case FieldDescriptor::CPPTYPE_STRING:
        return ReadName(node, path, message, field);
      default:
        // The schema has no other types.
        return Problem(path, "cannot be written in a plan");
    }
  }

  const google::protobuf::EnumValueDescriptor* ReadWord(const DocumentNode& node,
                                                        const std::string& path,
                                                        const EnumDescriptor* type) {
    const std::vector<std::string> words = Words(*type);
    if (node.kind == Kind::kScalar) {
      for (size_t i = 0; i < words.size(); ++i) {
        if (absl::EqualsIgnoreCase(words[i], node.text)) {
          return type->value(static_cast<int>(i) + 1);
        }
      }
    }
    Problem(path, Describe(node),
            absl::StrCat("one of ", absl::StrJoin(words, ", "), DidYouMean(node.text, words)));
    return nullptr;
  }

  void ReadName(const DocumentNode& node, const std::string& path, Message* message,
                const FieldDescriptor* field) {
    const absl::string_view name = absl::StripAsciiWhitespace(node.text);
    if (node.kind != Kind::kScalar || name.empty() || AsNumber(node).has_value() ||
        AsBool(node).has_value()) {
      return Problem(path, Describe(node), "a name");
    }
    message->GetReflection()->SetString(message, field, std::string(name));
  }

  std::vector<absl::Status> problems_;
};

}  // namespace

std::vector<absl::Status> ReadPlan(absl::string_view text, v1::Plan* plan) {
  const auto document = ParseDocument(text);
  if (!document.ok()) return {document.status()};
  v1::Plan read;
  Reader reader;
  reader.ReadRoot(**document, &read);
  *plan = std::move(read);
  return reader.TakeProblems();
}

absl::StatusOr<v1::Plan> ReadPlan(absl::string_view text) {
  v1::Plan plan;
  const std::vector<absl::Status> problems = ReadPlan(text, &plan);
  if (!problems.empty()) return problems.front();
  return plan;
}

}  // namespace lossd
