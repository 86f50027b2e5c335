#include "lossd/plan/prediction_name.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lossd {

PredictionName ParsePredictionName(absl::string_view name) {
  const PredictionName finest = {.scale = 0, .head = name};
  absl::string_view rest = name;
  if (!absl::ConsumePrefix(&rest, "ds_") || rest.empty()) return finest;
  const auto scale = static_cast<size_t>(rest[0] - '0');
  if (scale < 1 || scale > kMaxCoarseScales) return finest;
  rest.remove_prefix(1);
  if (rest.empty()) return {.scale = scale, .head = rest};
  return absl::ConsumePrefix(&rest, "/") ? PredictionName{.scale = scale, .head = rest} : finest;
}

std::string PredictionField(absl::string_view name) {
  return absl::StrCat("predictions[", name, "]");
}

}  // namespace lossd
