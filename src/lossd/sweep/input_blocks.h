#ifndef LOSSD_SWEEP_INPUT_BLOCKS_H_
#define LOSSD_SWEEP_INPUT_BLOCKS_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "lossd/base/context.h"
#include "lossd/losses/loss.h"

namespace lossd {

enum class BlockShape {
  kVoxels,  // Some voxels of one sample, all channels: [1, C, n].
  kPlanes,  // One plane of one sample and channel: [1, 1, 1, Y, X].
};

// The inputs of a loss, cut into blocks on which a LibTorch expression is computed one by one: what
// it leaves behind stays in cache, and memory does not grow with the volume.
class InputBlocks {
 public:
  // On the CPU. Weights and targets of one channel apply to all channels; targets without channels
  // get one.
  InputBlocks(const LossInputs& inputs, BlockShape shape);

  int64_t count() const { return samples_ * per_sample_; }
  int64_t Sample(int64_t block) const { return block / per_sample_; }

  // Calls body(block, its inputs as leaves of a graph of their own) for all blocks in parallel. The
  // context's status when it is cancelled, else the first error, and what LibTorch throws as one.
  absl::Status ForEach(
      const Context& context,
      const std::function<absl::Status(int64_t block, const LossInputs& inputs)>& body) const;

  // The block's part of a tensor of the prediction's sizes with dense voxels.
  at::Tensor PartOf(const at::Tensor& like_pred, int64_t block) const;

 private:
  at::Tensor Arrange(const at::Tensor& tensor) const;
  at::Tensor Part(const at::Tensor& arranged, int64_t block) const;

  BlockShape shape_;
  LossInputs inputs_;  // As [B, C, voxels] or [B, C, planes, Y, X].
  int64_t samples_ = 0;
  int64_t channels_ = 0;
  int64_t length_ = 0;      // Voxels of a block.
  int64_t per_sample_ = 0;  // Blocks.
};

}  // namespace lossd

#endif  // LOSSD_SWEEP_INPUT_BLOCKS_H_
