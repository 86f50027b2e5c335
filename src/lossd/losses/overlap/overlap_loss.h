#ifndef LOSSD_LOSSES_OVERLAP_OVERLAP_LOSS_H_
#define LOSSD_LOSSES_OVERLAP_OVERLAP_LOSS_H_

#include <ATen/ATen.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/overlap/overlap.h"
#include "lossd/sweep/class_channels.h"

namespace lossd {

// A loss that is a function of overlaps alone: the Dice family. One sweep over the voxels counts
// them, autograd derives the few numbers by which they enter the loss, and another sweep writes the
// gradient. Overlaps that are plain sums over voxels of single channels have sweeps of their own;
// others are LibTorch expressions, block by block.
class OverlapLoss : public AutogradLoss {
 public:
  OverlapLoss(const ClassOptions& classes, const OverlapOptions& overlap)
      : class_options_(classes), overlap_options_(overlap) {}

  // Class indices.
  int64_t ScratchBytes(const LossShape& shape) const override;

 protected:
  absl::Status Check(const LossInputs& inputs) const override;
  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override;

  // The loss, reduced.
  virtual at::Tensor OfOverlap(const Overlap& overlap, int64_t spatial_dims) const = 0;

 private:
  struct ValueAndFactors {
    at::Tensor value = {};
    at::Tensor factors = {};  // d sum(value) / d counts; undefined when not wanted.
  };

  bool IsMadeOfPlainSums() const;
  // A single channel has no softmax.
  bool HasSoftmax(const LossInputs& inputs) const {
    return class_options_.softmax && inputs.pred.size(1) > 1;
  }
  // Class indices are made one-hot first.
  bool FusesMasks() const final {
    return IsMadeOfPlainSums() && !class_options_.softmax && !class_options_.to_onehot_y;
  }
  // Of true positives, false positives, false negatives and volumes [B, C, 4].
  ValueAndFactors OfCounts(const at::Tensor& counts, bool want_factors, int64_t spatial_dims) const;
  std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& inputs,
                                                         const Context& context) const final;
  std::optional<absl::StatusOr<LossResult>> ComputeOnGpu(const LossInputs& inputs,
                                                         const Context& context) const final;
  absl::StatusOr<LossResult> ComputeInSweeps(const LossInputs& inputs,
                                             const Context& context) const;
  // Of Σ p·target, Σ p and Σ target [B, C, 3]; factors of target and of 1 in d sum(value) / d p,
  // [B, C, 2].
  ValueAndFactors OfSums(const at::Tensor& sums, bool want_factors, int64_t spatial_dims) const;
  absl::StatusOr<LossResult> ComputeInSoftmaxSweeps(const LossInputs& inputs,
                                                    const Context& context) const;
  absl::StatusOr<LossResult> ComputeInBlocks(const LossInputs& inputs,
                                             const Context& context) const;

  const ClassOptions class_options_;
  const OverlapOptions overlap_options_;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_OVERLAP_LOSS_H_
