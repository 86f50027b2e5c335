#ifndef LOSSD_PLAN_PLAN_READER_H_
#define LOSSD_PLAN_PLAN_READER_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/plan/document.h"
#include "lossd/plan/field_spelling.h"
#include "lossd/plan/plan.h"

namespace lossd {

// A plan as a document has it.
struct PlanDocument {
  Plan plan = {};                           // What could be read, each term in its place.
  FieldSpelling spelling = {};              // What its fields are called there.
  std::vector<absl::Status> problems = {};  // Every mistake that can be told apart.
};

// Reads a plan written by a person: YAML or JSON in the schema of PyTorch Connectomics'
// `model.loss` section.
//
// Accepted at the top: a mapping with `losses`; a bare list of terms; a whole training config with
// `model.loss` (whose `model.heads` and `model.primary_head` come along). Aliases:
// `weight`/`coefficient` (which wins), `pred`/`pred_slice`, `target`/`target_slice`,
// `pred2`/`pred2_slice`, `mask`/`mask_slice`, `call`/`call_kind`, and
// `deep_supervision_clamp_min`/`clamp_min`, likewise `_max`. Unknown fields and wrong types are
// FieldErrors whose field reads like "losses[1].kwargs.sigmoid", with the nearest known name when
// one is close.
PlanDocument ReadPlanDocument(absl::string_view text);

// The same of a document that was parsed.
PlanDocument ReadPlanDocument(const DocumentNode& root);

// The plan alone; its first mistake if there are any.
absl::StatusOr<Plan> ReadPlan(absl::string_view text);

}  // namespace lossd

#endif  // LOSSD_PLAN_PLAN_READER_H_
