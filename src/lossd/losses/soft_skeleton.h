#ifndef LOSSD_LOSSES_SOFT_SKELETON_H_
#define LOSSD_LOSSES_SOFT_SKELETON_H_

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "lossd/base/task_pool.h"
#include "lossd/losses/morphology.h"

namespace lossd {

// The soft skeleton of a volume (Shit et al., clDice, CVPR 2021) and its derivative. With E(0) the
// volume, E(i + 1) the erosion of E(i) and D(i) = relu(E(i) − dilation of E(i + 1)), the skeleton
// is S(n) of S(0) = D(0), S(i) = S(i − 1) + relu(D(i) − S(i − 1)·D(i)).
//
// Keeps the erosions alone, n + 2 volumes: everything else is quicker made again than remembered.
class SoftSkeleton {
 public:
  // `volume`: contiguous float32 [Z, Y, X] or [Y, X] on the CPU. `pool` must outlive the object.
  SoftSkeleton(const at::Tensor& volume, int64_t num_iters, TaskPool& pool);

  at::Tensor Value() const { return Skeleton(levels_.size() - 2); }

  // d Σ gradient × skeleton / d volume. Uses up the gradient's memory.
  at::Tensor Backward(const at::Tensor& gradient) const;

 private:
  // S(i).
  at::Tensor Skeleton(size_t i) const;

  TaskPool& pool_;
  MorphologyGrid grid_;
  std::vector<at::Tensor> levels_;  // E(0) … E(n + 1).
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_SOFT_SKELETON_H_
