#ifndef LOSSD_PLAN_DOCUMENT_H_
#define LOSSD_PLAN_DOCUMENT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lossd {

// A node of a YAML or JSON document. Immutable; anchored nodes are shared.
struct DocumentNode {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  using Ref = std::shared_ptr<const DocumentNode>;

  Kind kind = Kind::kNull;
  // Of a scalar, and whether it stood in quotes, which makes it a string.
  std::string text = {};
  bool quoted = false;
  std::vector<Ref> items = {};
  // In the order of the text; keys are unique.
  std::vector<std::pair<std::string, Ref>> entries = {};

  // The value of a key of a mapping; null when there is none or it is a YAML null.
  const DocumentNode* Find(absl::string_view key) const;
};

// Parses one YAML document (JSON is YAML). Anchors, aliases and merge keys ("<<") are resolved;
// everything else is left as text, so the reader of a value decides what it is. Bounded in depth,
// size and time for any input. Errors: FieldErrors about "plan" that say line and column. Throws
// nothing but std::bad_alloc.
absl::StatusOr<DocumentNode::Ref> ParseDocument(absl::string_view text);

}  // namespace lossd

#endif  // LOSSD_PLAN_DOCUMENT_H_
