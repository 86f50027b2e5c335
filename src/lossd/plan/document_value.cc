#include "lossd/plan/document_value.h"

#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lossd/plan/nearest_name.h"

namespace lossd {

std::string Describe(const DocumentNode& node) {
  switch (node.kind) {
    case DocumentNode::Kind::kNull:
      return "nothing";
    case DocumentNode::Kind::kSequence:
      return absl::StrCat("a list of ", node.items.size());
    case DocumentNode::Kind::kMapping:
      return "a mapping";
    case DocumentNode::Kind::kScalar:
      break;
  }
  return node.quoted ? absl::StrCat("the string ", Quoted(node.text)) : Quoted(node.text);
}

std::optional<bool> AsBool(const DocumentNode& node) {
  if (node.kind != DocumentNode::Kind::kScalar || node.quoted) return std::nullopt;
  for (const absl::string_view word : {"true", "yes", "on"}) {
    if (absl::EqualsIgnoreCase(node.text, word)) return true;
  }
  for (const absl::string_view word : {"false", "no", "off"}) {
    if (absl::EqualsIgnoreCase(node.text, word)) return false;
  }
  return std::nullopt;
}

bool IsAmbiguous(const DocumentNode& node) {
  const absl::string_view digits = absl::StripPrefix(absl::StripPrefix(node.text, "-"), "+");
  return !node.quoted && digits.size() > 1 && digits[0] == '0' &&
         digits.find_first_not_of("0123456789") == absl::string_view::npos;
}

std::optional<int64_t> AsInteger(const DocumentNode& node) {
  if (node.kind != DocumentNode::Kind::kScalar || node.quoted || IsAmbiguous(node)) {
    return std::nullopt;
  }
  int64_t value = 0;
  return absl::SimpleAtoi(node.text, &value) ? std::optional(value) : std::nullopt;
}

std::optional<double> AsNumber(const DocumentNode& node) {
  if (node.kind != DocumentNode::Kind::kScalar || node.quoted || IsAmbiguous(node)) {
    return std::nullopt;
  }
  const bool plain = node.text.find_first_not_of("+-.0123456789eE") == std::string::npos;
  // Losses are computed in float32, where a larger number is infinite.
  constexpr double kLargest = std::numeric_limits<float>::max();
  double value = 0;
  const bool number = plain && absl::SimpleAtod(node.text, &value) && std::abs(value) <= kLargest;
  return number ? std::optional(value) : std::nullopt;
}

}  // namespace lossd
