#ifndef LOSSD_LOSSES_OVERLAP_LOSS_H_
#define LOSSD_LOSSES_OVERLAP_LOSS_H_

#include <torch/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/class_channels.h"
#include "lossd/losses/overlap.h"

namespace lossd {

// A loss that is a function of overlaps alone: the Dice family. Where an overlap is made of plain
// sums over voxels of single channels, one sweep computes them, autograd derives the few numbers by
// which they enter the loss, and another sweep writes the gradient.
class OverlapLoss : public AutogradLoss {
 public:
  OverlapLoss(const ClassOptions& classes, const OverlapOptions& overlap)
      : class_options_(classes), overlap_options_(overlap) {}

  absl::StatusOr<ValueAndGradient> Compute(const LossInputs& inputs, TaskPool& pool) const override;

 protected:
  absl::Status Check(const LossInputs& inputs) const override;
  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override;

  // The loss, reduced.
  virtual at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const = 0;

  const ClassOptions& class_options() const { return class_options_; }

 private:
  bool IsMadeOfPlainSums() const;
  absl::StatusOr<ValueAndGradient> ComputeFused(const LossInputs& inputs, TaskPool& pool) const;

  const ClassOptions class_options_;
  const OverlapOptions overlap_options_;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_LOSS_H_
