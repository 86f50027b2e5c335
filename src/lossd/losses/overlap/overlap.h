#ifndef LOSSD_LOSSES_OVERLAP_OVERLAP_H_
#define LOSSD_LOSSES_OVERLAP_OVERLAP_H_

#include <ATen/ATen.h>

#include "lossd/losses/option.h"

namespace lossd {

struct OverlapOptions {
  bool squared_pred = false;
  // Sums also run over the batch.
  bool batch = false;
  // Targets may lie between 0 and 1 (Wang et al., Dice Semimetric Losses, MICCAI 2023).
  bool soft_label = false;
};

// Soft counts of voxels, [B, C], or [C] with `batch`.
struct Overlap {
  at::Tensor true_positives;
  at::Tensor false_positives;
  at::Tensor false_negatives;
  at::Tensor target_sum;  // Σ target, the volume of the channel.
};

// As MONAI counts them: with ‖·‖ the sum over voxels, or of squares, true positives are the sum of
// pred × target, or, squared or with soft labels, (‖pred‖ + ‖target‖ − ‖pred − target‖) / 2; false
// ones are what is left of ‖pred‖ and ‖target‖.
Overlap ComputeOverlap(const at::Tensor& pred, const at::Tensor& target,
                       const OverlapOptions& options);

// The dimensions that are summed over: space, with `batch` also the batch.
std::vector<int64_t> SummedDims(int64_t dims, bool batch);

// Losses per sample and channel, reduced; NONE gives them size 1 along each spatial dimension.
at::Tensor ReduceClasses(const at::Tensor& losses, Reduction reduction, int64_t spatial_dims);

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_OVERLAP_H_
