#include "lossctl/config_files.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/base/read_file.h"
#include "lossd/plan/document_value.h"
#include "lossd/plan/nearest_name.h"

namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

// Configs of PyTorch Connectomics have some twenty base files with some two thousand values.
constexpr size_t kMaxBases = 256;
constexpr size_t kMaxNodes = 100'000;

ConfigNode EmptyMapping() {
  auto mapping = std::make_shared<DocumentNode>();
  mapping->kind = Kind::kMapping;
  return mapping;
}

std::vector<ConfigNode> BaseNames(const ConfigNode& document) {
  const ConfigNode bases = Child(document, "_base_");
  if (bases == nullptr) return {};
  return bases->kind == Kind::kSequence ? bases->items : std::vector<ConfigNode>{bases};
}

bool Holds(const DocumentNode& tree, const DocumentNode& node) {
  return &tree == &node || std::ranges::any_of(tree.items, [&node](const ConfigNode& item) {
    return Holds(*item, node);
  }) || std::ranges::any_of(tree.entries, [&node](const auto& entry) {
    return Holds(*entry.second, node);
  });
}

}  // namespace

absl::StatusOr<ConfigFiles> ConfigFiles::Load(const std::string& path, const ConfigNode& document) {
  std::error_code error;
  ConfigFiles files;
  files.root_ = std::filesystem::weakly_canonical(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), path);
  absl::StatusOr<ConfigNode> merged = files.Read(files.root_, document);
  if (!merged.ok()) return merged.status();
  files.merged_ = *std::move(merged);
  return files;
}

absl::StatusOr<ConfigNode> ConfigFiles::Read(const Path& path, const ConfigNode& document) {
  nodes_ += CountNodes(*document);
  if (nodes_ > kMaxNodes) {
    return FieldError(path.string(), absl::StrCat("with this file, the config and its base files "
                                                  "have more than ",
                                                  kMaxNodes, " values"));
  }
  files_[path] = {document, nullptr};
  being_read_.push_back(path);
  absl::StatusOr<ConfigNode> merged = MergeBases(path, document);
  being_read_.pop_back();
  if (merged.ok()) files_[path].merged = *merged;
  return merged;
}

absl::StatusOr<ConfigNode> ConfigFiles::MergeBases(const Path& path, const ConfigNode& document) {
  if (document->kind == Kind::kNull) return EmptyMapping();
  if (document->kind != Kind::kMapping) {
    return FieldError(path.string(), Describe(*document), "a mapping");
  }
  std::vector<ConfigNode> layers;
  for (const ConfigNode& name : BaseNames(document)) {
    absl::StatusOr<ConfigNode> base = LoadBase(path, *name);
    if (!base.ok()) return base;
    layers.push_back(*std::move(base));
  }
  layers.push_back(Without(document, "_base_"));
  ConfigNode merged = EmptyMapping();
  for (const ConfigNode& layer : layers) {
    absl::StatusOr<ConfigNode> both = Merge(merged, layer, "");
    if (!both.ok()) return FieldError(path.string(), both.status().message());
    merged = *std::move(both);
  }
  return merged;
}

absl::StatusOr<ConfigNode> ConfigFiles::LoadBase(const Path& named_in, const DocumentNode& name) {
  const std::string field = absl::StrCat(named_in.string(), ": _base_");
  if (name.kind != Kind::kScalar) return FieldError(field, Describe(name), "the name of a file");
  if (++bases_ > kMaxBases) {
    return FieldError(field, absl::StrCat("more than ", kMaxBases, " base files in all"));
  }
  std::error_code error;
  const Path path = std::filesystem::weakly_canonical(named_in.parent_path() / name.text, error);
  if (error || !std::filesystem::is_regular_file(path, error)) {
    return FieldError(field, absl::StrCat("there is no file ", Quoted(name.text), " (looked for ",
                                          path.string(), ")"));
  }
  if (const auto open = std::ranges::find(being_read_, path); open != being_read_.end()) {
    std::vector<std::string> cycle(open, being_read_.end());
    cycle.push_back(path.string());
    return FieldError(field,
                      absl::StrCat("a file is its own base: ", absl::StrJoin(cycle, " -> ")));
  }
  // One that several files have as their base is read once.
  if (const auto known = files_.find(path); known != files_.end()) return known->second.merged;
  const absl::StatusOr<std::string> text = ReadFile(path.string());
  if (!text.ok()) return text.status();
  const absl::StatusOr<ConfigNode> document = ParseDocument(*text);
  if (!document.ok()) return AboutField(path.string(), document.status());
  return Read(path, *document);
}

std::string ConfigFiles::FileOf(const DocumentNode& node) const {
  const auto file = std::ranges::find_if(
      files_, [&node](const auto& entry) { return Holds(*entry.second.document, node); });
  return file == files_.end() ? root() : file->first.string();
}

}  // namespace lossd
