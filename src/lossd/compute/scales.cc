#include "lossd/compute/scales.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/plan/nearest_name.h"
#include "lossd/plan/prediction_name.h"

namespace lossd {
namespace {

std::string NamesIn(const ScaleOutputs& scale, const Batch& batch) {
  return absl::StrCat(
      "[",
      absl::StrJoin(scale.outputs, ", ",
                    [&](std::string* text, const ScaleOutput& output) {
                      text->append(Quoted(batch.predictions[output.prediction].name));
                    }),
      "]");
}

// Whether the finest scale has a prediction without a name, for a plan with these heads.
bool IsLone(const ScaleOutputs& finest, const std::vector<std::string>& heads) {
  if (finest.outputs.size() != 1) return false;
  const std::string& name = finest.outputs.front().head;
  return heads.empty() ||
         (name == kLonePrediction && !std::binary_search(heads.begin(), heads.end(), name));
}

absl::Status CheckFinest(const ScaleOutputs& finest, const std::vector<std::string>& heads,
                         const Batch& batch) {
  const bool coarse = batch.mode == Mode::kDeepSupervision;
  if (heads.empty() && (!finest.lone || finest.outputs.front().head != kLonePrediction)) {
    return FieldError("predictions",
                      finest.outputs.empty() ? "none at the finest scale" : NamesIn(finest, batch),
                      absl::StrCat("[\"output\"]", coarse ? " and ds_1 to ds_4" : "",
                                   ", as the plan has no heads"));
  }
  if (finest.outputs.empty()) {
    return FieldError("predictions", "none at the finest scale",
                      absl::StrCat("output, or the heads ", absl::StrJoin(heads, ", ")));
  }
  return absl::OkStatus();
}

// That named heads are those of the plan, with the channels that it says they have.
absl::Status CheckHeads(const ScaleOutputs& scale, const CheckedPlan& plan,
                        const std::vector<std::string>& heads, const Batch& batch) {
  for (const ScaleOutput& output : scale.outputs) {
    const auto& [name, tensor] = batch.predictions[output.prediction];
    const auto head = plan.plan.heads.find(output.head);
    if (head == plan.plan.heads.end()) {
      const std::string known = heads.empty() ? "none" : absl::StrJoin(heads, ", ");
      return FieldError(PredictionField(name), absl::StrCat("not one of the plan's heads, ", known,
                                                            DidYouMean(output.head, heads)));
    }
    if (head->second.out_channels.has_value() && *head->second.out_channels != tensor.size(1)) {
      return FieldError(absl::StrCat(PredictionField(name), ".shape"), ShapeText(tensor),
                        absl::StrCat(*head->second.out_channels, " channels, as the plan says"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ScaleOutputs>> SplitIntoScales(const CheckedPlan& plan,
                                                          const Batch& batch) {
  std::array<ScaleOutputs, 1 + kMaxCoarseScales> scales;
  for (size_t i = 0; i < batch.predictions.size(); ++i) {
    PredictionName name = {.scale = 0, .head = batch.predictions[i].name};
    if (batch.mode == Mode::kDeepSupervision) name = ParsePredictionName(name.head);
    ScaleOutputs& scale = scales[name.scale];
    scale.outputs.push_back({std::string(name.head), i});
    if (name.scale == 0) continue;
    scale.lone = scale.lone || name.head.empty();
    scale.prefix = absl::StrCat("ds_", name.scale, "/");
  }

  const std::vector<std::string> heads = HeadNames(plan.plan);
  scales[0].lone = IsLone(scales[0], heads);
  if (absl::Status status = CheckFinest(scales[0], heads, batch); !status.ok()) return status;
  std::vector<ScaleOutputs> present;
  for (ScaleOutputs& scale : scales) {
    if (scale.outputs.empty()) continue;
    if (scale.lone && scale.outputs.size() > 1) {
      return FieldError("predictions", NamesIn(scale, batch), "one, or named heads");
    }
    if (!scale.lone) {
      absl::Status status = CheckHeads(scale, plan, heads, batch);
      if (!status.ok()) return status;
    }
    present.push_back(std::move(scale));
  }
  return present;
}

}  // namespace lossd
