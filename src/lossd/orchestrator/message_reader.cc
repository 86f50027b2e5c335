#include "lossd/orchestrator/message_reader.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/orchestrator/channel_slice.h"
#include "lossd/orchestrator/document_value.h"
#include "lossd/orchestrator/nearest_name.h"
#include "lossd/orchestrator/plan_schema.h"
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

std::string Join(absl::string_view path, absl::string_view key) {
  return path.empty() ? std::string(key) : absl::StrCat(path, ".", key);
}

// What may have been meant, else what there is to choose from.
std::string MeantOrKnown(absl::string_view name, const std::vector<std::string>& names) {
  if (names.empty()) return " (there are none)";
  const std::string meant = DidYouMean(name, names);
  return meant.empty() ? absl::StrCat(" (known: ", absl::StrJoin(names, ", "), ")") : meant;
}

// A null leaves a field out, but for these two, which PyTorch Connectomics reads as no.
void ReadNull(Message* message, const FieldDescriptor* field) {
  if (message->GetDescriptor() != v1::Term::descriptor()) return;
  auto* const term = static_cast<v1::Term*>(message);
  if (field->number() == v1::Term::kSpatialWeightArgFieldNumber) {
    term->set_spatial_weight_arg(v1::SPATIAL_WEIGHT_ARG_NONE);
  } else if (field->number() == v1::Term::kApplyDeepSupervisionFieldNumber) {
    term->set_apply_deep_supervision(false);
  }
}

}  // namespace

std::string Printable(absl::string_view key) {
  const std::string quoted = Quoted(key);
  return quoted.substr(1, quoted.size() - 2);
}

void MessageReader::Problem(absl::string_view field, absl::string_view given,
                            absl::string_view expected) {
  Problem(field, absl::StrCat("got ", given, ", expected ", expected));
}

void MessageReader::Problem(absl::string_view field, absl::string_view message) {
  if (problems_.size() < kMaxProblems) problems_.push_back(FieldError(field, message));
}

void MessageReader::UnknownKey(absl::string_view path, absl::string_view key,
                               const std::vector<std::string>& keys) {
  if (problems_.size() == kMaxProblems) return;  // Looking for the nearest name takes time.
  Problem(Join(path, Printable(key)), absl::StrCat("unknown field", MeantOrKnown(key, keys)));
}

void MessageReader::ReadMessage(const DocumentNode& node, const std::string& path,
                                Message* message) {
  if (node.kind == Kind::kNull) return;
  const Descriptor* descriptor = message->GetDescriptor();
  const PlanSchema schema = SchemaOf(descriptor);
  if (node.kind != Kind::kMapping) {
    return Problem(path, Describe(node),
                   descriptor == v1::Term::descriptor()
                       ? "a mapping such as {function: MSELoss}"
                       : absl::StrCat("a mapping of ", absl::StrJoin(KeysOf(descriptor), ", ")));
  }
  // Other spellings first: a field's own name wins.
  for (const bool own_name : {false, true}) {
    for (const auto& [key, value] : node.entries) {
      const absl::string_view field_of_alias = schema.FieldOfAlias(key);
      if (field_of_alias.empty() != own_name || schema.Ignores(key)) continue;
      const std::string name = own_name ? key : std::string(field_of_alias);
      const FieldDescriptor* field =
          schema.Hides(name) ? nullptr : descriptor->FindFieldByName(name);
      if (field == nullptr) {
        UnknownKey(path, key, KeysOf(descriptor));
      } else if (value->kind == Kind::kNull) {
        ReadNull(message, field);
      } else {
        if (own_name) {
          spelling_.erase(Join(path, name));
        } else {
          spelling_[Join(path, name)] = Join(path, key);
        }
        ReadField(*value, Join(path, key), message, field);
      }
    }
  }
  if (descriptor == v1::Term::descriptor()) {
    ReadFunction(node, path, static_cast<v1::Term*>(message)->mutable_loss());
  }
}

void MessageReader::ReadFunction(const DocumentNode& term, const std::string& path,
                                 v1::LossOptions* options) {
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
    names.push_back(LossOfOptions(field->message_type()));
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

void MessageReader::ReadField(const DocumentNode& node, const std::string& path, Message* message,
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

void MessageReader::ReadElement(const DocumentNode& node, const std::string& path, Message* message,
                                const FieldDescriptor* field) {
  if (field->message_type() == nullptr) return ReadScalar(node, path, message, field);
  Message* element = message->GetReflection()->AddMessage(message, field);
  if (node.kind == Kind::kNull) return Problem(path, "null", "a value");
  ReadMessageValue(node, path, element);
}

void MessageReader::ReadMap(const DocumentNode& node, const std::string& path, Message* message,
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

void MessageReader::ReadMessageValue(const DocumentNode& node, const std::string& path,
                                     Message* message) {
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

void MessageReader::ReadChannelSlice(const DocumentNode& node, const std::string& path,
                                     v1::ChannelSlice* slice) {
  if (node.kind != Kind::kScalar || IsAmbiguous(node)) {
    return Problem(path, Describe(node), R"(a channel index or "start:stop")");
  }
  auto parsed = ParseChannelSlice(node.text);
  if (!parsed.ok()) return Problem(path, parsed.status().message());
  *slice = *std::move(parsed);
}

void MessageReader::ReadPosWeight(const DocumentNode& node, const std::string& path,
                                  v1::PosWeight* weight) {
  if (const auto number = AsNumber(node); number.has_value()) {
    weight->set_value(*number);
  } else if (node.kind == Kind::kScalar &&
             absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(node.text), "auto")) {
    weight->set_automatic(true);
  } else {
    Problem(path, Describe(node), "a number > 0 or auto");
  }
}

void MessageReader::ReadOffset(const DocumentNode& node, const std::string& path,
                               v1::Offset* offset) {
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

void MessageReader::ReadScalar(const DocumentNode& node, const std::string& path, Message* message,
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

const google::protobuf::EnumValueDescriptor* MessageReader::ReadWord(const DocumentNode& node,
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

void MessageReader::ReadName(const DocumentNode& node, const std::string& path, Message* message,
                             const FieldDescriptor* field) {
  const absl::string_view name = absl::StripAsciiWhitespace(node.text);
  if (node.kind != Kind::kScalar || name.empty() || AsNumber(node).has_value() ||
      AsBool(node).has_value()) {
    return Problem(path, Describe(node), "a name");
  }
  message->GetReflection()->SetString(message, field, std::string(name));
}

}  // namespace lossd
