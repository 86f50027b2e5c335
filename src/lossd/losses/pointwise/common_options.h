#ifndef LOSSD_LOSSES_POINTWISE_COMMON_OPTIONS_H_
#define LOSSD_LOSSES_POINTWISE_COMMON_OPTIONS_H_

#include "absl/strings/string_view.h"

namespace lossd {

// What options mean that several losses of one element at a time have.

inline constexpr absl::string_view kSizeAverageText =
    "PyTorch's deprecated spelling of reduction: with this or reduce set, mean when both are true "
    "(the default of each).";
inline constexpr absl::string_view kReduceText =
    "See size_average: sum when reduce alone is true, none when it is false.";
inline constexpr absl::string_view kWeightedReductionText = "Of the weighted loss map.";
inline constexpr absl::string_view kTanhText = "Whether the prediction goes through tanh first.";

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_COMMON_OPTIONS_H_
