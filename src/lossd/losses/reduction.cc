#include "lossd/losses/reduction.h"

#include <ATen/core/Reduction.h>

#include <numeric>
#include <vector>

namespace lossd {
namespace {

// Sum over `dims` of weighted / number of elements whose weight is above 0.
at::Tensor MaskedMean(const at::Tensor& weighted, const at::Tensor& weight, at::IntArrayRef dims) {
  const at::Tensor valid = weight.gt(0).expand(weighted.sizes());
  const at::Tensor count = valid.sum(dims).clamp_min(1);
  // Not a product: what is not valid does not count even where it is not finite.
  return at::where(valid, weighted, at::zeros({}, weighted.options())).sum(dims) / count;
}

std::vector<int64_t> AllDims(const at::Tensor& map) {
  std::vector<int64_t> dims(map.dim());
  std::iota(dims.begin(), dims.end(), 0);
  return dims;
}

}  // namespace

at::Tensor Reduce(const at::Tensor& map, Reduction reduction) {
  switch (reduction) {
    case Reduction::kNone:
      return map;
    case Reduction::kSum:
      return map.sum();
    default:
      return map.mean();
  }
}

at::Tensor ReduceWeighted(const at::Tensor& map, const at::Tensor& weight, Reduction reduction) {
  if (!weight.defined()) return Reduce(map, reduction);
  const at::Tensor weighted = TimesMask(map, weight);
  if (reduction != Reduction::kMean) return Reduce(weighted, reduction);
  return MaskedMean(weighted, weight, AllDims(map));
}

at::Tensor ReduceWeightedPerChannel(const at::Tensor& map, const at::Tensor& weight,
                                    Reduction reduction) {
  const at::Tensor weighted = TimesMask(map, weight);
  if (reduction == Reduction::kSum) return weighted.sum();
  if (reduction == Reduction::kNone) return weighted.sum(1, /*keepdim=*/true);
  std::vector<int64_t> dims = AllDims(map);
  dims.erase(dims.begin() + 1);
  if (!weight.defined()) return weighted.mean(dims).sum();
  return MaskedMean(weighted, weight, dims).sum();
}

at::Tensor TimesMask(const at::Tensor& map, const at::Tensor& mask) {
  return mask.defined() ? map * mask.to(map.scalar_type()) : map;
}

int64_t TorchReduction(Reduction reduction) {
  switch (reduction) {
    case Reduction::kNone:
      return at::Reduction::None;
    case Reduction::kSum:
      return at::Reduction::Sum;
    default:
      return at::Reduction::Mean;
  }
}

}  // namespace lossd
