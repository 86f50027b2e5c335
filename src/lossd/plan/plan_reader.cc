#include "lossd/plan/plan_reader.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/plan/document.h"
#include "lossd/plan/document_reader.h"
#include "lossd/plan/document_value.h"
#include "lossd/plan/nearest_name.h"

// Where in a document the plan is; document_reader.h reads it.
namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

bool Has(const DocumentNode& node, absl::string_view key) {
  return std::any_of(node.entries.begin(), node.entries.end(),
                     [&](const auto& entry) { return entry.first == key; });
}

const DocumentNode* FindMapping(const DocumentNode& root,
                                std::initializer_list<absl::string_view> path) {
  const DocumentNode* node = &root;
  for (const absl::string_view key : path) {
    node = node->Find(key);
    if (node == nullptr || node->kind != Kind::kMapping) return nullptr;
  }
  return node;
}

void MissingLosses(const DocumentNode& mapping, DocumentReader& reader) {
  const std::string known[] = {"losses", "loss", "model"};
  std::vector<std::string> keys;
  std::string suggestion;
  for (const auto& [key, value] : mapping.entries) {
    keys.push_back(Printable(key));
    if (suggestion.empty()) suggestion = DidYouMean(key, known);
  }
  if (keys.size() > 10) keys.resize(10);
  reader.Problem("losses", absl::StrCat("missing (there is ",
                                        keys.empty() ? "nothing" : absl::StrJoin(keys, ", "),
                                        "), expected a mapping with losses, a list of terms, or a "
                                        "training config with model.loss",
                                        suggestion));
}

// A `model` section: its loss section, and what it says about heads.
void ReadModel(const DocumentNode& model, Plan* plan, DocumentReader& reader) {
  const DocumentNode* loss = model.Find("loss");
  if (loss == nullptr || loss->kind != Kind::kMapping) return MissingLosses(model, reader);
  reader.Read(*loss, "", plan);
  const auto read_of_model = [&](const char* key, auto* field) {
    const DocumentNode* value = model.Find(key);
    if (value == nullptr) return;
    if (loss->Find(key) != nullptr) {
      reader.Problem(key, "given twice, by the model and by its loss section");
    } else {
      reader.Read(*value, key, field);
    }
  };
  read_of_model("heads", &plan->heads);
  read_of_model("primary_head", &plan->primary_head);
}

// A config whose `default` stage holds the model. What other stages override would need the
// trainer's own merging.
void ReadStagedConfig(const DocumentNode& root, const DocumentNode& model, Plan* plan,
                      DocumentReader& reader) {
  if (FindMapping(root, {"train", "model"}) != nullptr) {
    return reader.Problem(
        "train.model",
        "overrides default.model, which is not merged here; expected the resolved config");
  }
  ReadModel(model, plan, reader);
}

// Whether a config, or its `default` stage, is to be merged with another one.
bool HasBase(const DocumentNode& root) {
  const DocumentNode* const stage = FindMapping(root, {"default"});
  return root.Find("_base_") != nullptr || (stage != nullptr && stage->Find("_base_") != nullptr);
}

void ReadRoot(const DocumentNode& root, Plan* plan, DocumentReader& reader) {
  if (root.kind == Kind::kSequence) {
    reader.Read(root, "losses", &plan->losses);
  } else if (root.kind != Kind::kMapping) {
    reader.Problem("plan", Describe(root), "a mapping with losses, or a list of terms");
  } else if (HasBase(root)) {
    reader.Problem("_base_",
                   "names a config that is not merged here; expected the resolved config");
  } else if (Has(root, "losses")) {
    reader.Read(root, "", plan);
  } else if (Has(root, "loss")) {
    ReadModel(root, plan, reader);
  } else if (const DocumentNode* model = FindMapping(root, {"model"}); model != nullptr) {
    ReadModel(*model, plan, reader);
  } else if (model = FindMapping(root, {"default", "model"}); model != nullptr) {
    ReadStagedConfig(root, *model, plan, reader);
  } else {
    MissingLosses(root, reader);
  }
}

}  // namespace

PlanDocument ReadPlanDocument(absl::string_view text) {
  const auto document = ParseDocument(text);
  if (!document.ok()) return {.problems = {document.status()}};
  return ReadPlanDocument(**document);
}

PlanDocument ReadPlanDocument(const DocumentNode& root) {
  PlanDocument result;
  DocumentReader reader;
  ReadRoot(root, &result.plan, reader);
  result.problems = reader.TakeProblems();
  result.spelling = reader.TakeSpelling();
  return result;
}

absl::StatusOr<Plan> ReadPlan(absl::string_view text) {
  PlanDocument document = ReadPlanDocument(text);
  if (!document.problems.empty()) return document.problems.front();
  return std::move(document.plan);
}

}  // namespace lossd
