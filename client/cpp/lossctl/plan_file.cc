#include "lossctl/plan_file.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "lossctl/config_tree.h"
#include "lossctl/training_config.h"
#include "lossd/base/read_file.h"

namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

// A config that PyTorch Connectomics saved has every section at its root, and they are what it
// trained with. Its stages are filled up with defaults, which must not be merged again.
bool IsSavedConfig(const DocumentNode& root) {
  constexpr absl::string_view kSections[] = {"system",  "model",     "data",     "optimization",
                                             "monitor", "inference", "decoding", "evaluation"};
  return std::ranges::all_of(
      kSections, [&root](absl::string_view section) { return root.Find(section) != nullptr; });
}

bool HasToBeResolved(const DocumentNode& root) {
  if (root.Find("_base_") != nullptr) return true;
  // A plan itself, or a `model` section.
  if (root.Find("losses") != nullptr || root.Find("loss") != nullptr) return false;
  return (root.Find("default") != nullptr || root.Find("train") != nullptr) && !IsSavedConfig(root);
}

}  // namespace

absl::StatusOr<std::string> ReadPlanFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text;
  const absl::StatusOr<ConfigNode> document = ParseDocument(*text);
  // What is wrong with a text that cannot be parsed is for the server to say.
  if (!document.ok() || !HasToBeResolved(**document)) return text;
  const absl::StatusOr<ConfigNode> model = ResolveModel(path, *document);
  if (!model.ok()) return model.status();
  return ToText(**model);
}

}  // namespace lossd
