#ifndef LOSSD_LOSSES_MAP_LOSS_H_
#define LOSSD_LOSSES_MAP_LOSS_H_

#include <torch/types.h>

#include <optional>

#include "absl/status/statusor.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/input_blocks.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

namespace lossd {

// A loss that is the sum over a map × a number, or the map itself, whose elements depend on the
// inputs at one voxel (or in one plane): written as the LibTorch expression of the map, computed
// block by block.
class MapLoss : public AutogradLoss {
 public:
  explicit MapLoss(v1::Reduction reduction = v1::REDUCTION_MEAN,
                   BlockShape shape = BlockShape::kVoxels)
      : reduction_(reduction), shape_(shape) {}

 protected:
  // Of all inputs or of a block of them, predictions being at least float32.
  virtual absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const = 0;

  // The number, from all inputs: 1, or for a mean 1 / the number of elements of the prediction.
  virtual double Factor(const LossInputs& inputs) const;

  v1::Reduction reduction() const { return reduction_; }

 private:
  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const final;
  std::optional<absl::StatusOr<ValueAndGradient>> ComputeFused(const LossInputs& inputs,
                                                               const Context& context) const final;

  const v1::Reduction reduction_;
  const BlockShape shape_;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_MAP_LOSS_H_
