#ifndef LOSSD_LOSSES_LOSS_H_
#define LOSSD_LOSSES_LOSS_H_

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/malis/malis_pass.h"

namespace lossd {

// Where predictions are cut off.
struct ClampRange {
  double min;
  double max;
};

// A weight for foreground (target > 0) and one for everything else.
struct ClassWeights {
  double foreground = 1;
  double background = 1;

  bool AreOne() const { return foreground == 1 && background == 1; }
};

// Where factor × the gradient with respect to a prediction goes.
struct GradientInto {
  // In the prediction's shape and on its device, float32, float64 or a half type; the voxels of a
  // channel lie side by side. Undefined: no gradient is wanted.
  at::Tensor into = {};
  double factor = 1;
  // Whether it is added to what is there, or takes its place.
  bool add = false;

  bool wanted() const { return into.defined(); }
};

// What a loss is computed from. An undefined tensor is an absent one.
struct LossInputs {
  at::Tensor pred = {};    // [B, C, …], float32, or a half type, which is widened.
  at::Tensor pred2 = {};   // The second prediction of pred_pred losses.
  at::Tensor target = {};  // Like pred, or class indices [B, 1, …]; any dtype.
  at::Tensor weight = {};  // Spatial weight or mask, broadcastable to pred.
  // What the predictions count as; gradients are with respect to the clamped ones.
  std::optional<ClampRange> clamp = {};
  // Factors on the weight, or the weight where there is no other.
  std::optional<ClassWeights> class_weights = {};
  // Where the target is known: bool, broadcastable to pred; undefined: everywhere. Elsewhere the
  // target counts as 0, and so does the weight; losses without a weight see `blank`, where given,
  // in place of the prediction, and their gradient is 0 there.
  at::Tensor known = {};
  std::optional<float> blank = {};
  at::Tensor gt_seg = {};  // Instance labels, for losses that take them.
  // Weight of positives, given by the plan for this batch; overrides the loss's own.
  std::optional<double> pos_weight = {};
  // First voxel of the crop, for losses with one.
  std::optional<std::array<int64_t, 3>> crop_origin = {};
  // d value / d pred, and d value / d pred2: both are wanted, or neither.
  GradientInto gradient = {};
  GradientInto gradient2 = {};
};

struct LossResult {
  // float32 on the CPU or the inputs' device; a scalar, but for reduction "none".
  at::Tensor value = {};
  // Whether all that was to be written of gradients is finite in the type in which it lies there.
  bool finite = true;
  // Of losses that count them.
  MalisPairs pairs = {};
};

// What is known of a loss's inputs before they are there.
struct LossShape {
  std::vector<int64_t> pred;  // Its sizes, [B, C, …].
  bool masked = false;        // A weight, `known` or class weights may be among them.
  bool in_place = false;      // The gradient is float32 and takes the place of what is there.
  int threads = 1;            // That compute at most.

  int64_t samples() const { return pred[0]; }
  int64_t channels() const { return pred[1]; }
  // Of a channel of a sample, and of a plane of it.
  int64_t voxels() const {
    return std::accumulate(pred.begin() + 2, pred.end(), int64_t{1}, std::multiplies<>());
  }
  int64_t plane() const { return pred[pred.size() - 2] * pred.back(); }
  int64_t elements() const { return samples() * channels() * voxels(); }
  // Of a gradient in float32 beside the place where it goes, for losses that write it there when it
  // is whole.
  int64_t bytes_beside() const {
    return in_place ? 0 : elements() * static_cast<int64_t>(sizeof(float));
  }
};

// A loss function with its options. Immutable and thread-safe.
class Loss {
 public:
  virtual ~Loss() = default;

  // Errors are FieldErrors that name "pred", "target", "weight", "gt_seg" …; exceptions of LibTorch
  // do not escape. When the context is cancelled, the result is unspecified, be it its status, some
  // other error or numbers that mean nothing: whoever called asks the context.
  virtual absl::StatusOr<LossResult> Compute(const LossInputs& inputs,
                                             const Context& context) const = 0;

  // Bytes that Compute takes at most beyond its inputs and what it writes. Not counted: some blocks
  // and planes a thread, which all losses take.
  virtual int64_t ScratchBytes(const LossShape& /*shape*/) const { return 0; }

  // The same of a GPU's memory, as far as it can be told: of kernels of our own. What LibTorch's
  // expressions keep depends on its version, and is not told.
  virtual int64_t GpuScratchBytes(const LossShape& /*shape*/) const { return 0; }

  // How many voxels of a channel Compute visits, each as often as it does: a measure of its time,
  // see ComputeCost.
  virtual double Cost(const LossShape& shape) const {
    // To count, and to write the gradient.
    return 2.0 * static_cast<double>(shape.elements());
  }

  // How many channels a weight may have besides 1 and the prediction's: those that count.
  virtual int64_t WeightChannels(int64_t pred_channels) const { return pred_channels; }
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_LOSS_H_
