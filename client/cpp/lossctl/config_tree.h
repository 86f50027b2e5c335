#ifndef LOSSCTL_CONFIG_TREE_H_
#define LOSSCTL_CONFIG_TREE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/plan/document.h"

// What is done to the trees that configs are. Nodes are immutable and shared: a function that
// changes a tree gives a new one, and scalars stay the nodes that they were.
namespace lossd {

using ConfigNode = DocumentNode::Ref;

// The value of a key; null when there is none, it is a YAML null, or the node is no mapping.
ConfigNode Child(const ConfigNode& node, absl::string_view key);

// The value at a path such as "default.model"; null as above.
ConfigNode At(ConfigNode node, absl::string_view path);

// The tree with another value at a path, where there must be one already.
ConfigNode With(const ConfigNode& root, absl::string_view path, ConfigNode value);

// A mapping without one of its keys.
ConfigNode Without(const ConfigNode& mapping, absl::string_view key);

// A mapping without the values that are empty mappings, or hold nothing else. Lists stay as they
// are.
ConfigNode WithoutEmptyMappings(const ConfigNode& mapping);

// Whether OmegaConf would put something else for a scalar: "${model.out_channels}".
bool IsInterpolation(const DocumentNode& node);

// `over` merged into `base` as OmegaConf merges: mappings key by key; anything else, lists too,
// replaces what was there. An interpolation that a mapping or list would be merged into stays,
// since only OmegaConf knows what it stands for. Errors: a FieldError where a mapping meets a list;
// `path` is where the two lie, empty for whole configs.
absl::StatusOr<ConfigNode> Merge(const ConfigNode& base, const ConfigNode& over,
                                 absl::string_view path);

// How many values there are, those of shared nodes counted each time.
size_t CountNodes(const DocumentNode& node);

// The tree as a document: what ParseDocument reads back.
std::string ToText(const DocumentNode& node);

}  // namespace lossd

#endif  // LOSSCTL_CONFIG_TREE_H_
