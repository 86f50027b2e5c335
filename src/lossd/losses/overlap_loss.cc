#include "lossd/losses/overlap_loss.h"

#include <torch/autograd.h>

#include <array>
#include <vector>

#include "lossd/losses/block_reader.h"
#include "lossd/losses/kernels.h"
#include "lossd/losses/sweep.h"
#include "lossd/losses/torch_status.h"

namespace lossd {
namespace {

using Scratch = std::array<float, kBlockSize>;

// Σ p·target, Σ p and Σ target of each sample and channel: float64 [B, C, 3].
at::Tensor SumChannels(const Blocks& blocks, const BlockReader& pred, const BlockReader& target,
                       bool sigmoid, TaskPool& pool) {
  const auto sums = Sweep<3>(blocks, pool, [&](const BlockRange& range) {
    Scratch pred_scratch;
    Scratch target_scratch;
    const OverlapSums block =
        OverlapBlock(pred.Read(range, pred_scratch.data()),
                     target.Read(range, target_scratch.data()), sigmoid, range.size);
    return std::array<double, 3>{block.common, block.pred, block.target};
  });
  at::Tensor result =
      at::empty({blocks.groups() / blocks.channels(), blocks.channels(), 3}, at::kDouble);
  std::copy_n(sums.front().data(), result.numel(), result.mutable_data_ptr<double>());
  return result;
}

// gradient = (factors[0]·target + factors[1]) × d p / d pred, factors [B, C, 3]; the gradient's
// channels are dense.
void WriteGradient(const Blocks& blocks, const BlockReader& pred, const BlockReader& target,
                   bool sigmoid, const at::Tensor& factors, TaskPool& pool,
                   const at::Tensor& gradient) {
  const auto factor = factors.accessor<double, 3>();
  auto* const out = gradient.mutable_data_ptr<float>();
  const int64_t sample_stride = gradient.stride(0);
  const int64_t channel_stride = gradient.stride(1);
  Sweep<0>(blocks, pool, [&](const BlockRange& range) {
    Scratch pred_scratch;
    Scratch target_scratch;
    const auto of_channel = factor[range.sample][range.channel];
    OverlapGradientBlock(
        pred.Read(range, pred_scratch.data()), target.Read(range, target_scratch.data()), sigmoid,
        static_cast<float>(of_channel[0]), static_cast<float>(of_channel[1]), range.size,
        out + range.sample * sample_stride + range.channel * channel_stride + range.begin);
    return std::array<double, 0>{};
  });
}

}  // namespace

absl::Status OverlapLoss::Check(const LossInputs& inputs) const {
  return CheckClassChannels(inputs, class_options_.to_onehot_y);
}

absl::StatusOr<at::Tensor> OverlapLoss::Forward(const LossInputs& inputs) const {
  const absl::StatusOr<ClassChannels> channels = PrepareClassChannels(inputs, class_options_);
  if (!channels.ok()) return channels.status();
  return OfOverlap(ComputeOverlap(channels->pred, channels->target, overlap_options_),
                   inputs.pred.dim() - 2);
}

bool OverlapLoss::IsMadeOfPlainSums() const {
  return !class_options_.softmax && !overlap_options_.squared_pred && !overlap_options_.soft_label;
}

absl::StatusOr<ValueAndGradient> OverlapLoss::Compute(const LossInputs& inputs,
                                                      TaskPool& pool) const {
  return CatchTorchErrors([&]() -> absl::StatusOr<ValueAndGradient> {
    if (absl::Status status = Check(inputs); !status.ok()) return status;
    return IsMadeOfPlainSums() && CanSweep(inputs) ? ComputeFused(inputs, pool)
                                                   : AutogradLoss::Compute(inputs, pool);
  });
}

absl::StatusOr<ValueAndGradient> OverlapLoss::ComputeFused(const LossInputs& inputs,
                                                           TaskPool& pool) const {
  // The sigmoid is left to the sweeps.
  ClassOptions without_activation = class_options_;
  without_activation.sigmoid = false;
  const absl::StatusOr<ClassChannels> channels = PrepareClassChannels(inputs, without_activation);
  if (!channels.ok()) return channels.status();
  const Blocks blocks(channels->pred.sizes());
  const BlockReader pred(channels->pred, channels->pred.sizes());
  const BlockReader target(channels->target, channels->pred.sizes());
  const bool sigmoid = class_options_.sigmoid;

  const c10::InferenceMode no_inference_mode(false);
  const c10::AutoGradMode grad_mode(inputs.want_gradient);
  at::Tensor sums = SumChannels(blocks, pred, target, sigmoid, pool);
  sums.requires_grad_(inputs.want_gradient);
  const at::Tensor counted = overlap_options_.batch ? sums.sum(0) : sums;
  const at::Tensor common = counted.select(-1, 0);
  const at::Tensor target_sum = counted.detach().select(-1, 2);
  const at::Tensor value = OfOverlap({.true_positives = common,
                                      .false_positives = counted.select(-1, 1) - common,
                                      .false_negatives = target_sum - common,
                                      .target_sum = target_sum},
                                     inputs.pred.dim() - 2);
  ValueAndGradient result = {.value = value.detach().to(at::kFloat)};
  if (inputs.want_gradient) {
    const at::Tensor factors = torch::autograd::grad({value.sum()}, {sums})[0].contiguous();
    result.gradient = at::empty(inputs.pred.sizes(), at::kFloat);
    const int64_t background = inputs.pred.size(1) - blocks.channels();
    result.gradient.narrow(1, 0, background).zero_();
    WriteGradient(blocks, pred, target, sigmoid, factors, pool,
                  result.gradient.narrow(1, background, blocks.channels()));
  }
  return result;
}

}  // namespace lossd
