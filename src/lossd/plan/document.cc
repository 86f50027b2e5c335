#include "lossd/plan/document.h"

#include <google/protobuf/stubs/common.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <new>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

// A training config has a few hundred nodes and is some ten deep.
constexpr size_t kMaxBytes = size_t{1} << 18;
constexpr size_t kMaxNodes = 100'000;
constexpr size_t kMaxDepth = 64;

// Leaves the parser from within an event. The only way out that yaml-cpp offers.
struct Refusal : std::runtime_error {
  Refusal(const YAML::Mark& mark, absl::string_view message)
      : std::runtime_error(
            absl::StrCat("line ", mark.line + 1, ", column ", mark.column + 1, ": ", message)) {}
};

bool IsNullWord(absl::string_view text) {
  return text == "~" || text == "null" || text == "Null" || text == "NULL";
}

// Builds the tree from the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  DocumentNode::Ref Take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(mark, anchor, std::make_shared<DocumentNode>());
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end()) throw Refusal(mark, "an alias inside the node it refers to");
    // What an alias stands for counts again, so that nested aliases cannot multiply.
    Count(mark, found->second.nodes);
    Place(mark, found->second.node);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto node = std::make_shared<DocumentNode>();
    // The parser tags plain scalars "?" and quoted ones "!".
    node->quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!node->quoted && tag != "?" && !tag.empty()) {
      throw Refusal(mark, absl::StrCat("tag ", absl::CHexEscape(tag), " is not supported"));
    }
    if (node->quoted || !IsNullWord(value)) {
      node->kind = Kind::kScalar;
      node->text = value;
    }
    Add(mark, anchor, std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Open(mark, anchor, Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Open(mark, anchor, Kind::kMapping);
  }
  void OnMapEnd() override {
    Merge(open_.back());
    Close();
  }

 private:
  struct OpenNode {
    std::shared_ptr<DocumentNode> node;
    YAML::Mark mark;
    YAML::anchor_t anchor;
    size_t nodes_before;
    std::set<std::string> keys;             // Of the entries so far.
    std::optional<std::string> key;         // Of the entry whose value comes next.
    std::vector<DocumentNode::Ref> merged;  // What "<<" brings in.
  };
  struct Anchored {
    DocumentNode::Ref node;
    size_t nodes;
  };

  void Count(const YAML::Mark& mark, size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kMaxNodes) throw Refusal(mark, absl::StrCat("more than ", kMaxNodes, " values"));
  }

  void Add(const YAML::Mark& mark, YAML::anchor_t anchor, DocumentNode::Ref node) {
    Count(mark, 1);
    if (anchor != YAML::NullAnchor) anchored_[anchor] = {node, 1};
    Place(mark, std::move(node));
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, Kind kind) {
    if (open_.size() >= kMaxDepth) throw Refusal(mark, absl::StrCat("deeper than ", kMaxDepth));
    auto node = std::make_shared<DocumentNode>();
    node->kind = kind;
    open_.push_back({node, mark, anchor, nodes_, {}, std::nullopt, {}});
    Count(mark, 1);
  }

  void Close() {
    const OpenNode closed = std::move(open_.back());
    open_.pop_back();
    if (closed.anchor != YAML::NullAnchor) {
      anchored_[closed.anchor] = {closed.node, nodes_ - closed.nodes_before};
    }
    Place(closed.mark, closed.node);
  }

  // Puts a finished node where it belongs: a key, an entry's value, an item or the root.
  void Place(const YAML::Mark& mark, DocumentNode::Ref node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node->kind == Kind::kSequence) {
      parent.node->items.push_back(std::move(node));
    } else if (!parent.key.has_value()) {
      if (node->kind != Kind::kScalar) throw Refusal(mark, "a key must be a word");
      parent.key = node->text;
    } else {
      PlaceEntry(mark, parent, std::move(node));
      parent.key.reset();
    }
  }

  static void PlaceEntry(const YAML::Mark& mark, OpenNode& parent, DocumentNode::Ref node) {
    if (*parent.key != "<<") {
      if (!parent.keys.insert(*parent.key).second) {
        throw Refusal(mark,
                      absl::StrCat("key ", absl::Utf8SafeCHexEscape(*parent.key), " occurs twice"));
      }
      parent.node->entries.emplace_back(*parent.key, std::move(node));
    } else if (node->kind == Kind::kMapping) {
      parent.merged.push_back(std::move(node));
    } else if (node->kind == Kind::kSequence) {
      parent.merged.insert(parent.merged.end(), node->items.begin(), node->items.end());
    } else {
      throw Refusal(mark, "<< must be followed by a mapping or a list of mappings");
    }
  }

  // Entries of the mapping itself win, then those of earlier merges.
  static void Merge(OpenNode& open) {
    for (const DocumentNode::Ref& merged : open.merged) {
      for (const auto& entry : merged->entries) {
        if (open.keys.insert(entry.first).second) open.node->entries.push_back(entry);
      }
    }
  }

  DocumentNode::Ref root_;
  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, Anchored> anchored_;
  size_t nodes_ = 0;
};

}  // namespace

const DocumentNode* DocumentNode::Find(absl::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name == key) return value->kind == Kind::kNull ? nullptr : value.get();
  }
  return nullptr;
}

absl::StatusOr<DocumentNode::Ref> ParseDocument(absl::string_view text) {
  if (text.size() > kMaxBytes) {
    return FieldError("plan", absl::StrCat(text.size(), " bytes"),
                      absl::StrCat("at most ", kMaxBytes, " bytes"));
  }
  if (!google::protobuf::internal::IsStructurallyValidUTF8(text.data(),
                                                           static_cast<int>(text.size()))) {
    return FieldError("plan", "text that is not UTF-8");
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder first;
    parser.HandleNextDocument(first);
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return FieldError("plan", "got several YAML documents, expected one");
    }
    DocumentNode::Ref root = first.Take();
    return root == nullptr ? std::make_shared<const DocumentNode>() : root;
  } catch (const YAML::Exception& error) {
    return FieldError("plan", absl::StrCat("line ", error.mark.line + 1, ", column ",
                                           error.mark.column + 1, ": ", error.msg));
  } catch (const std::bad_alloc&) {
    throw;  // Not the plan's fault.
  } catch (const std::exception& error) {
    return FieldError("plan", error.what());
  }
}

}  // namespace lossd
