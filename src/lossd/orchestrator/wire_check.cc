#include "lossd/orchestrator/wire_check.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cmath>
#include <limits>

#include "lossd/losses/registry.h"

namespace lossd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string Below(const std::string& path, const FieldDescriptor& field) {
  return path.empty() ? field.name() : absl::StrCat(path, ".", field.name());
}

// Calls visit(path, message) for `message` and everything below it. Paths are as people write them:
// a loss's options are kwargs, and a head goes by its name.
template <typename Visit>
void ForEachMessage(const std::string& path, const Message& message, const Visit& visit) {
  visit(path, message);
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->message_type() == nullptr) continue;
    const std::string below = Below(path, *field);
    if (field->is_map()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        const Message& entry = reflection.GetRepeatedMessage(message, field, i);
        const std::string key =
            entry.GetReflection()->GetString(entry, field->message_type()->map_key());
        ForEachMessage(absl::StrCat(below, ".", key),
                       entry.GetReflection()->GetMessage(entry, field->message_type()->map_value()),
                       visit);
      }
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        ForEachMessage(absl::StrCat(below, "[", i, "]"),
                       reflection.GetRepeatedMessage(message, field, i), visit);
      }
    } else if (field->message_type() == v1::LossOptions::descriptor()) {
      const Message* options = OptionsOf(static_cast<const v1::Term&>(message).loss());
      visit(below, reflection.GetMessage(message, field));
      if (options != nullptr) ForEachMessage(absl::StrCat(path, ".kwargs"), *options, visit);
    } else {
      ForEachMessage(below, reflection.GetMessage(message, field), visit);
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
        const std::string name = Below(path, *field);
        problems.Add(field->is_repeated() ? absl::StrCat(name, "[", i, "]") : name,
                     absl::StrCat(value), "a number that is finite in float32");
      }
    }
  });
}

}  // namespace

void CheckWire(const v1::Plan& plan, Problems& problems) {
  CheckUnknownFields(plan, problems);
  CheckNumbers(plan, problems);
}

}  // namespace lossd
