#ifndef LOSSD_LOSSES_OVERLAP_SOFT_CLDICE_H_
#define LOSSD_LOSSES_OVERLAP_SOFT_CLDICE_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "lossd/losses/class_options.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// Which channels clDice looks at: one foreground channel, or all but the background.
enum class ClDiceMode { kBinary, kMulti };
template <>
inline constexpr absl::string_view kWords<ClDiceMode>[] = {"binary", "multi"};

// One minus the harmonic mean of how much of the prediction's soft skeleton lies in the target and
// of the target's in the prediction. Targets have the prediction's channels, or are class indices
// [B, 1, …] or [B, …]. The weight has one channel, the channels that count, or the prediction's; it
// multiplies volumes and skeletons.
struct SoftClDice {
  static constexpr LossTraits kTraits = {
      .name = "SoftClDiceLoss",
      .summary = "Dice of soft skeletons: overlap of centre lines.",
      .source =
          "Shit et al., clDice: a Novel Topology-Preserving Loss Function for Tubular Structure "
          "Segmentation, CVPR 2021",
      .definition = "Dice of soft skeletons: how much of each lies in the other volume",
      .spatial_weight_arg = SpatialWeightArg::kWeight};

  int64_t num_iters = 5;
  ClDiceMode mode = ClDiceMode::kBinary;
  Reduction reduction = Reduction::kMean;
  double smooth = 1;
  int64_t foreground_channel = 1;
  int64_t background_index = 0;
  bool sigmoid = false;
  bool softmax = false;
  bool clamp_probabilities = false;
  bool validate_inputs = true;
  double validation_tolerance = 1e-5;

  OptionList Options() {
    // The more iterations, the more planes are kept (soft_skeleton.h), up to two volumes for each;
    // and objects are thinned to nothing long before: publications take 3 to 50.
    static constexpr Range kIterations = {"0 to 100", [](double n) { return n >= 0 && n <= 100; }};
    return {{"num_iters", &num_iters, "Erosions while skeletonising.", kIterations},
            {"mode", &mode, "Which channels count."},
            {"reduction", &reduction, "Of the losses per sample and channel."},
            {"smooth", &smooth, "Added to numerators and denominators.", kPositiveNumber},
            {"foreground_channel", &foreground_channel,
             "The channel of mode binary; a single channel is always channel 0."},
            {"background_index", &background_index,
             "The channel that mode multi leaves out; negative counts from the last."},
            {"sigmoid", &sigmoid, kSigmoidText},
            {"softmax", &softmax, kSoftmaxText},
            {"clamp_probabilities", &clamp_probabilities,
             "Whether predictions and targets are clamped to [0, 1], and weights to at least 0."},
            {"validate_inputs", &validate_inputs,
             "Whether volumes thinner than 3 and values outside [0, 1] are errors."},
            {"validation_tolerance", &validation_tolerance,
             "How far outside [0, 1] a value may lie.", kNotNegativeNumber}};
  }
  std::optional<OptionProblem> Check() const { return CheckActivation(sigmoid, softmax); }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_SOFT_CLDICE_H_
