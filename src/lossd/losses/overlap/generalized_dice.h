#ifndef LOSSD_LOSSES_OVERLAP_GENERALIZED_DICE_H_
#define LOSSD_LOSSES_OVERLAP_GENERALIZED_DICE_H_

#include <memory>
#include <optional>

#include "lossd/losses/class_options.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// How the volume v of a class turns into its weight: 1 / v², 1 / v or 1.
enum class WeightType { kSquare, kSimple, kUniform };
template <>
inline constexpr absl::string_view kWords<WeightType>[] = {"square", "simple", "uniform"};

// As monai.losses.GeneralizedDiceLoss.
struct GeneralizedDice {
  static constexpr LossTraits kTraits = {
      .name = "GeneralizedDiceLoss",
      .summary = "Dice whose classes are weighted by their volume.",
      .source = "Sudre et al., Generalised Dice Overlap, DLMIA 2017; MONAI",
      .definition = "Dice whose sums run over classes too, weighted by 1 / volume²"};

  bool include_background = true;
  bool to_onehot_y = false;
  bool sigmoid = false;
  bool softmax = false;
  WeightType w_type = WeightType::kSquare;
  Reduction reduction = Reduction::kMean;
  double smooth_nr = 1e-5;
  double smooth_dr = 1e-5;
  bool batch = false;
  bool soft_label = false;

  OptionList Options() {
    return {{"include_background", &include_background, kIncludeBackgroundText},
            {"to_onehot_y", &to_onehot_y, kToOnehotYText},
            {"sigmoid", &sigmoid, kSigmoidText},
            {"softmax", &softmax, kSoftmaxText},
            OtherActivation(),
            {"w_type", &w_type, "How the volume of a class turns into its weight."},
            {"reduction", &reduction, "Of the losses per sample."},
            {"smooth_nr", &smooth_nr, kSmoothNrText},
            {"smooth_dr", &smooth_dr, kSmoothDrText},
            {"batch", &batch, kBatchText},
            {"soft_label", &soft_label, kSoftLabelText}};
  }
  std::optional<OptionProblem> Check() const { return CheckActivation(sigmoid, softmax); }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_GENERALIZED_DICE_H_
