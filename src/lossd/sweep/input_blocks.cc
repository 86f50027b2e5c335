#include "lossd/sweep/input_blocks.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/torch_status.h"

namespace lossd {
namespace {

// Elements of a prediction's block: the most that LibTorch does not share out to threads of its
// own. What an expression makes of them still fits into the second-level cache, more or less.
constexpr int64_t kElements = 1 << 15;

}  // namespace

InputBlocks::InputBlocks(const LossInputs& inputs, BlockShape shape)
    : shape_(shape), inputs_(inputs) {
  const at::Tensor& pred = inputs.pred;
  samples_ = pred.size(0);
  channels_ = pred.size(1);
  inputs_.pred = Arrange(pred);
  inputs_.pred2 = Arrange(inputs.pred2);
  if (inputs.weight.defined()) inputs_.weight = Arrange(inputs.weight.expand(pred.sizes()));
  if (inputs.target.defined()) {
    inputs_.target =
        Arrange(inputs.target.dim() == pred.dim() ? inputs.target : inputs.target.unsqueeze(1));
  }
  if (shape_ == BlockShape::kPlanes) {
    length_ = 1;
    per_sample_ = channels_ * inputs_.pred.size(2);
  } else {
    length_ = std::max<int64_t>(kElements / channels_, 1);
    per_sample_ = (inputs_.pred.size(2) + length_ - 1) / length_;
  }
}

at::Tensor InputBlocks::Arrange(const at::Tensor& tensor) const {
  if (!tensor.defined()) return tensor;
  const at::Tensor detached = tensor.detach();
  if (shape_ == BlockShape::kVoxels) return detached.flatten(2);
  return detached.dim() == 4 ? detached.unsqueeze(2) : detached;
}

at::Tensor InputBlocks::Part(const at::Tensor& arranged, int64_t block) const {
  if (!arranged.defined()) return arranged;
  const at::Tensor sample = arranged.narrow(0, block / per_sample_, 1);
  const int64_t within = block % per_sample_;
  if (shape_ == BlockShape::kVoxels) {
    const int64_t begin = within * length_;
    return sample.narrow(2, begin, std::min(length_, sample.size(2) - begin));
  }
  return sample.narrow(1, within % channels_, 1).narrow(2, within / channels_, 1);
}

at::Tensor InputBlocks::PartOf(const at::Tensor& like_pred, int64_t block) const {
  return Part(Arrange(like_pred), block);
}

absl::Status InputBlocks::ForEach(
    const Context& context,
    const std::function<absl::Status(int64_t block, const LossInputs& inputs)>& body) const {
  std::vector<absl::Status> statuses(count());
  context.ParallelFor(count(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      statuses[block] = CatchTorchErrors([&]() -> absl::Status {
        const c10::InferenceMode no_inference_mode(false);
        const c10::AutoGradMode grad_mode(inputs_.gradient.wanted());
        LossInputs part = inputs_;
        part.pred = Part(inputs_.pred, block);
        part.pred2 = Part(inputs_.pred2, block);
        part.target = Part(inputs_.target, block);
        part.weight = Part(inputs_.weight, block);
        return body(block, Leaves(part));
      });
    }
  });
  if (absl::Status status = context.status(); !status.ok()) return status;
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace lossd
