#ifndef LOSSD_PLAN_PREDICTION_NAME_H_
#define LOSSD_PLAN_PREDICTION_NAME_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace lossd {

// The name of a network's only prediction.
inline constexpr absl::string_view kLonePrediction = "output";

// How many scales there may be besides the finest.
inline constexpr size_t kMaxCoarseScales = 4;

// With deep supervision, "ds_2" is the lone prediction, and "ds_2/aff" the head aff, at the second
// of the coarser scales. Every other name is a head at the finest one.
struct PredictionName {
  size_t scale = 0;        // 0: the finest.
  absl::string_view head;  // Empty for a lone prediction at a coarser scale.
};

PredictionName ParsePredictionName(absl::string_view name);

// How errors call a prediction: "predictions[aff]".
std::string PredictionField(absl::string_view name);

}  // namespace lossd

#endif  // LOSSD_PLAN_PREDICTION_NAME_H_
