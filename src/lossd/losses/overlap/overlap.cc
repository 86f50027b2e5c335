#include "lossd/losses/overlap/overlap.h"

#include <vector>

#include "lossd/losses/reduction.h"

namespace lossd {

std::vector<int64_t> SummedDims(int64_t dims, bool batch) {
  std::vector<int64_t> summed;
  if (batch) summed.push_back(0);
  for (int64_t d = 2; d < dims; ++d) summed.push_back(d);
  return summed;
}

Overlap ComputeOverlap(const at::Tensor& pred, const at::Tensor& any_target,
                       const OverlapOptions& options) {
  const at::Tensor target = any_target.to(pred.scalar_type());
  const std::vector<int64_t> dims = SummedDims(pred.dim(), options.batch);
  const auto plain_sum = [&](const at::Tensor& x) { return x.sum(dims); };
  const auto norm = [&](const at::Tensor& x) {
    if (!options.squared_pred) return plain_sum(x.abs());
    // Not the sum of squares: it rounds as MONAI does, which shows where gradients nearly cancel.
    return at::linalg_vector_norm(x, 2, dims).pow(2);
  };
  const bool product = !options.squared_pred && !options.soft_label;
  const at::Tensor pred_sum = product ? plain_sum(pred) : norm(pred);
  const at::Tensor target_sum = product ? plain_sum(target) : norm(target);
  const at::Tensor common =
      product ? plain_sum(pred * target) : (pred_sum + target_sum - norm(pred - target)) / 2;
  return {.true_positives = common,
          .false_positives = pred_sum - common,
          .false_negatives = target_sum - common,
          .target_sum = product ? target_sum : plain_sum(target)};
}

at::Tensor ReduceClasses(const at::Tensor& losses, Reduction reduction, int64_t spatial_dims) {
  if (reduction != Reduction::kNone) return Reduce(losses, reduction);
  std::vector<int64_t> shape = losses.sizes().vec();
  shape.insert(shape.end(), spatial_dims, 1);
  return losses.view(shape);
}

}  // namespace lossd
