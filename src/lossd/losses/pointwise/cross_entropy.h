#ifndef LOSSD_LOSSES_POINTWISE_CROSS_ENTROPY_H_
#define LOSSD_LOSSES_POINTWISE_CROSS_ENTROPY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// As torch.nn.CrossEntropyLoss. Targets are class indices [B, 1, …] or [B, …] of any type.
struct CrossEntropy {
  static constexpr LossTraits kTraits = {
      .name = "CrossEntropyLoss",
      .summary = "Cross entropy of logits over exclusive classes.",
      .source = "torch.nn",
      .definition = "−log softmax(x) of the class, as torch.nn",
      .target_kind = TargetKind::kClassIndex};

  std::vector<double> weight = {};
  int64_t ignore_index = -100;
  Reduction reduction = Reduction::kMean;
  double label_smoothing = 0;

  OptionList Options() {
    return {{"weight", &weight, "Weight of each class."},
            {"ignore_index", &ignore_index, "Class of the voxels that do not count."},
            {"reduction", &reduction,
             "Of the loss map; the mean weighs each voxel by the weight of its class."},
            {"label_smoothing", &label_smoothing,
             "Share of the target that is spread evenly over the classes.", kFraction}};
  }
  std::unique_ptr<const Loss> Make() const;
};

// The same of class indices, or of targets [B, C, …] that are the probabilities of the classes.
std::unique_ptr<const Loss> MakeCrossEntropy(const CrossEntropy& options, bool of_probabilities);

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_CROSS_ENTROPY_H_
