#ifndef LOSSD_LOSSES_CLASS_OPTIONS_H_
#define LOSSD_LOSSES_CLASS_OPTIONS_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "lossd/losses/option.h"

namespace lossd {

// What the losses of MONAI have in common: options by which they prepare classes.

inline constexpr absl::string_view kIncludeBackgroundText =
    "Whether channel 0 counts; always true for a single channel.";
inline constexpr absl::string_view kToOnehotYText =
    "Whether the target is one channel of class indices, to be made one-hot; no effect for a "
    "single channel.";
inline constexpr absl::string_view kSigmoidText = "Whether predictions go through a sigmoid first.";
inline constexpr absl::string_view kSoftmaxText =
    "Whether predictions go through a softmax over channels first; excludes sigmoid.";
inline constexpr absl::string_view kSquaredPredText = "Whether the denominator sums squares.";
inline constexpr absl::string_view kJaccardText =
    "Whether the Jaccard index takes the place of Dice's.";
inline constexpr absl::string_view kSmoothNrText = "Added to the numerator.";
inline constexpr absl::string_view kSmoothDrText = "Added to the denominator.";
inline constexpr absl::string_view kBatchText = "Whether sums run over the batch too.";
inline constexpr absl::string_view kLambdaDiceText = "Factor of Dice.";
inline constexpr absl::string_view kSoftLabelText =
    "Whether targets may lie between 0 and 1: sums are then L1 norms.";
inline constexpr absl::string_view kClassWeightText =
    "Weight of each channel that counts, one number for all of them or one each.";

// MONAI's activation by a function.
inline Option OtherActivation() {
  return {"other_act", FunctionField{"use sigmoid: true or softmax: true, or apply the activation "
                                     "in the network"}};
}

// At most one activation.
std::optional<OptionProblem> CheckActivation(bool sigmoid, bool softmax);

}  // namespace lossd

#endif  // LOSSD_LOSSES_CLASS_OPTIONS_H_
