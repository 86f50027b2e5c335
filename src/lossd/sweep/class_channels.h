#ifndef LOSSD_SWEEP_CLASS_CHANNELS_H_
#define LOSSD_SWEEP_CLASS_CHANNELS_H_

#include <ATen/ATen.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"

// What MONAI's losses do before anything else: activate the prediction, make the target one-hot,
// leave out the background.
namespace lossd {

struct ClassOptions {
  bool include_background = true;
  bool to_onehot_y = false;
  bool sigmoid = false;
  bool softmax = false;
};

// The options of those names of a loss.
template <typename Options>
ClassOptions ClassOptionsOf(const Options& options) {
  return {.include_background = options.include_background,
          .to_onehot_y = options.to_onehot_y,
          .sigmoid = options.sigmoid,
          .softmax = options.softmax};
}

// Prediction and target of one shape, [B, C, …].
struct ClassChannels {
  at::Tensor pred;
  at::Tensor target;
};

// Checks the shapes: a target is [B, 1, …] where it is to be made one-hot, else as the prediction.
// A single channel is never made one-hot.
absl::Status CheckClassChannels(const LossInputs& inputs, bool to_onehot_y);

// Errors: a class index that is out of range.
absl::StatusOr<ClassChannels> PrepareClassChannels(const LossInputs& inputs,
                                                   const ClassOptions& options);

// Channels that remain of a prediction with `channels`.
int64_t CountedChannels(int64_t channels, bool include_background);

// Checks a weight per class: nothing, one for all or one for each of `channels`.
absl::Status CheckClassWeight(const std::vector<double>& weight, int64_t channels);

// `values` [B, C, …] (or [C, …] with `channel_dim` 0) × the weight of each class; a single channel
// is not weighted.
at::Tensor TimesClassWeight(const at::Tensor& values, const std::vector<double>& weight,
                            int64_t channel_dim);

// What class indices of a prediction's voxels take while they are read and counted.
int64_t ClassIndexBytes(const LossShape& shape);

// [B, 1, …] class indices as bytes [B, classes, …] of 0 and 1.
at::Tensor OneHot(const at::Tensor& indices, int64_t classes);
// The same of a whole target, which has passed CheckClassTarget. Errors: a class index that is out
// of range, and that the context is cancelled.
absl::StatusOr<at::Tensor> OneHotTarget(const LossInputs& inputs, const Context& context);

}  // namespace lossd

#endif  // LOSSD_SWEEP_CLASS_CHANNELS_H_
