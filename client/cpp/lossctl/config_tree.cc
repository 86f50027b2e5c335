#include "lossctl/config_tree.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lossctl/json.h"
#include "lossd/base/error.h"
#include "lossd/plan/document_value.h"
#include "lossd/plan/nearest_name.h"

namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

bool IsContainer(const DocumentNode& node) {
  return node.kind == Kind::kMapping || node.kind == Kind::kSequence;
}

absl::StatusOr<ConfigNode> MergeMappings(const DocumentNode& base, const DocumentNode& over,
                                         absl::string_view path) {
  std::map<absl::string_view, size_t> places;
  for (size_t i = 0; i < base.entries.size(); ++i) places.emplace(base.entries[i].first, i);
  auto merged = std::make_shared<DocumentNode>(base);
  for (const auto& [key, value] : over.entries) {
    const auto place = places.find(key);
    if (place == places.end()) {
      merged->entries.emplace_back(key, value);
      continue;
    }
    ConfigNode& slot = merged->entries[place->second].second;
    absl::StatusOr<ConfigNode> both =
        Merge(slot, value, absl::StrCat(path, path.empty() ? "" : ".", Printable(key)));
    if (!both.ok()) return both;
    slot = *std::move(both);
  }
  return merged;
}

// Quotes make a string of a number or a bool, so those go without; other words may have them.
std::string ScalarText(const DocumentNode& scalar) {
  constexpr char kSigns[] = "+-.";
  const auto is_plain = [&](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains(kSigns, c);
  };
  const bool plain = !scalar.quoted && std::ranges::all_of(scalar.text, is_plain) &&
                     scalar.text.find_first_not_of(kSigns) != std::string::npos;
  return plain ? scalar.text : Json(scalar.text).text();
}

void Append(const DocumentNode& node, std::string& text) {
  absl::string_view separator;
  switch (node.kind) {
    case Kind::kNull:
      text += "null";
      return;
    case Kind::kScalar:
      text += ScalarText(node);
      return;
    case Kind::kSequence:
      text += "[";
      for (const ConfigNode& item : node.items) {
        absl::StrAppend(&text, std::exchange(separator, ", "));
        Append(*item, text);
      }
      text += "]";
      return;
    case Kind::kMapping:
      text += "{";
      for (const auto& [key, value] : node.entries) {
        absl::StrAppend(&text, std::exchange(separator, ", "), Json(key).text(), ": ");
        Append(*value, text);
      }
      text += "}";
  }
}

}  // namespace

ConfigNode Child(const ConfigNode& node, absl::string_view key) {
  const auto entry = std::ranges::find_if(
      node->entries, [key](const auto& candidate) { return candidate.first == key; });
  const bool there = entry != node->entries.end() && entry->second->kind != Kind::kNull;
  return there ? entry->second : nullptr;
}

ConfigNode At(ConfigNode node, absl::string_view path) {
  for (const absl::string_view key : absl::StrSplit(path, '.')) {
    node = Child(node, key);
    if (node == nullptr) break;
  }
  return node;
}

ConfigNode With(const ConfigNode& root, absl::string_view path, ConfigNode value) {
  const std::pair<absl::string_view, absl::string_view> split =
      absl::StrSplit(path, absl::MaxSplits('.', 1));
  auto changed = std::make_shared<DocumentNode>(*root);
  for (auto& [key, child] : changed->entries) {
    if (key != split.first) continue;
    child = split.second.empty() ? std::move(value) : With(child, split.second, std::move(value));
    break;
  }
  return changed;
}

ConfigNode Without(const ConfigNode& mapping, absl::string_view key) {
  auto changed = std::make_shared<DocumentNode>(*mapping);
  std::erase_if(changed->entries, [key](const auto& entry) { return entry.first == key; });
  return changed;
}

ConfigNode WithoutEmptyMappings(const ConfigNode& mapping) {
  auto changed = std::make_shared<DocumentNode>();
  changed->kind = Kind::kMapping;
  for (const auto& [key, value] : mapping->entries) {
    ConfigNode kept = value->kind == Kind::kMapping ? WithoutEmptyMappings(value) : value;
    const bool empty = kept->kind == Kind::kMapping && kept->entries.empty();
    if (!empty) changed->entries.emplace_back(key, std::move(kept));
  }
  return changed;
}

bool IsInterpolation(const DocumentNode& node) {
  return node.kind == Kind::kScalar && absl::StrContains(node.text, "${");
}

absl::StatusOr<ConfigNode> Merge(const ConfigNode& base, const ConfigNode& over,
                                 absl::string_view path) {
  if (!IsContainer(*over)) return over;
  if (IsInterpolation(*base)) return base;
  if (!IsContainer(*base)) return over;
  if (base->kind != over->kind) {
    return FieldError(path,
                      absl::StrCat(Describe(*over), " cannot be merged into ", Describe(*base)));
  }
  return base->kind == Kind::kMapping ? MergeMappings(*base, *over, path) : over;
}

size_t CountNodes(const DocumentNode& node) {
  size_t count = 1;
  for (const ConfigNode& item : node.items) count += CountNodes(*item);
  for (const auto& entry : node.entries) count += CountNodes(*entry.second);
  return count;
}

std::string ToText(const DocumentNode& node) {
  std::string text;
  Append(node, text);
  return text;
}

}  // namespace lossd
