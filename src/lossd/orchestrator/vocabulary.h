#ifndef LOSSD_ORCHESTRATOR_VOCABULARY_H_
#define LOSSD_ORCHESTRATOR_VOCABULARY_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace lossd {

// The word for an enum value in plans: what follows the enum's prefix, in small letters
// ("pred_target" for CALL_KIND_PRED_TARGET). Every enum's first value is <PREFIX>UNSPECIFIED.
inline std::string Word(const google::protobuf::EnumValueDescriptor& value) {
  const absl::string_view prefix = absl::StripSuffix(value.type()->value(0)->name(), "UNSPECIFIED");
  return absl::AsciiStrToLower(absl::StripPrefix(value.name(), prefix));
}

template <typename Enum>
std::string Word(Enum value) {
  return Word(*google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value));
}

// The words for all values but the first, which means "not given", in their order.
inline std::vector<std::string> Words(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> words;
  for (int i = 1; i < type.value_count(); ++i) words.push_back(Word(*type.value(i)));
  return words;
}

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_VOCABULARY_H_
