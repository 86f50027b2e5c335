#ifndef LOSSD_SWEEP_FUSED_POINTWISE_H_
#define LOSSD_SWEEP_FUSED_POINTWISE_H_

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/loss.h"
#include "lossd/sweep/any_element.h"
#include "lossd/sweep/cuda/groups.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/sweep.h"

namespace lossd {

// A loss that is the weighted sum or masked mean of a map, as ReduceWeighted defines it.
struct FusedPointwise {
  // Of a channel whose positives have that weight, which most element functions do not look at.
  std::function<AnyElement(double pos_weight)> element;
  Reduction reduction;   // NONE is not fused.
  bool weighted = true;  // Whether LossInputs.weight counts.
  // Reduce channel by channel, and add the channels.
  bool per_channel = false;
  // Balance each channel's positives, as BalancingPosWeight does, up to this weight.
  std::optional<double> max_pos_weight = {};
  double pos_weight = 1;
  bool tanh = false;
};

// What is summed over the blocks of a channel.
struct ChannelSum {
  AnyElement element;
  PointwiseOptions options;  // As the gradient is written.
  float scale;               // The factor on the sum.
};

// Those of each channel, after a sweep that counts where something must be counted.
std::vector<ChannelSum> ChannelSums(const FusedPointwise& loss, const Blocks& blocks,
                                    const InputReader& reader, const GradientWriter& writer,
                                    const Context& context);

// What a sweep over tensors on a GPU, where masks have been applied in advance, reads.
struct GpuSweepInputs {
  at::Tensor pred;         // Float32, clamped.
  at::Tensor target;       // Of its sizes,
  at::Tensor weight = {};  // and so is this; undefined: 1.
  std::vector<ChannelSum> channels = {};

  std::vector<PointwiseChannel> OfChannels() const;
  // Of the sums of all samples and channels, [B, C, 1].
  at::Tensor Value(const at::Tensor& sums) const;
};
GpuSweepInputs PrepareGpuSweep(const FusedPointwise& loss, const LossInputs& inputs);

// A loss that is computed in that form where that is possible, else as its LibTorch expression.
class PointwiseLoss : public AutogradLoss {
 protected:
  // The fused form; nothing where there is none.
  virtual std::optional<FusedPointwise> Fused(const LossInputs& inputs) const = 0;

 private:
  std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& inputs,
                                                         const Context& context) const final;
  std::optional<absl::StatusOr<LossResult>> ComputeOnGpu(const LossInputs& inputs,
                                                         const Context& context) const final;
  bool FusesMasks() const final { return true; }
};

}  // namespace lossd

#endif  // LOSSD_SWEEP_FUSED_POINTWISE_H_
