#ifndef LOSSD_LOSSES_POINTWISE_MAP_LOSS_H_
#define LOSSD_LOSSES_POINTWISE_MAP_LOSS_H_

#include <ATen/ATen.h>

#include <optional>

#include "absl/status/statusor.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/loss.h"
#include "lossd/losses/option.h"
#include "lossd/sweep/input_blocks.h"

namespace lossd {

// A loss that is the sum over a map × a number, or the map itself, whose elements depend on the
// inputs at one voxel (or in one plane): written as the LibTorch expression of the map, computed
// block by block.
class MapLoss : public AutogradLoss {
 public:
  explicit MapLoss(Reduction reduction = Reduction::kMean, BlockShape shape = BlockShape::kVoxels)
      : reduction_(reduction), shape_(shape) {}

 protected:
  // Of all inputs or of a block of them, predictions being at least float32.
  virtual absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const = 0;

  // The number, from all inputs: 1, or for a mean 1 / the number of elements of the prediction.
  virtual double Factor(const LossInputs& inputs, const Context& context) const;

  Reduction reduction() const { return reduction_; }

 private:
  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const final;
  std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& inputs,
                                                         const Context& context) const final;

  const Reduction reduction_;
  const BlockShape shape_;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_POINTWISE_MAP_LOSS_H_
