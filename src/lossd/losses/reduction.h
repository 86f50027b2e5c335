#ifndef LOSSD_LOSSES_REDUCTION_H_
#define LOSSD_LOSSES_REDUCTION_H_

#include <ATen/ATen.h>

#include "lossd/losses/option.h"

namespace lossd {

// The loss map's mean or sum over all elements, or the map itself.
at::Tensor Reduce(const at::Tensor& map, Reduction reduction);

// The same of map × weight, but that the mean is over the elements whose weight is above 0 (0 when
// there are none). `weight` is broadcastable to the map; undefined, it is 1 everywhere.
at::Tensor ReduceWeighted(const at::Tensor& map, const at::Tensor& weight, Reduction reduction);

// ReduceWeighted of each channel of a map [B, C, …], the channels added: a scalar, or for NONE
// [B, 1, …].
at::Tensor ReduceWeightedPerChannel(const at::Tensor& map, const at::Tensor& weight,
                                    Reduction reduction);

// map × mask; the map when `mask` is undefined.
at::Tensor TimesMask(const at::Tensor& map, const at::Tensor& mask);

// What at::… functions call the reduction.
int64_t TorchReduction(Reduction reduction);

// The reduction that a loss of list.h asks for: torch.nn's deprecated options size_average and
// reduce take precedence over reduction when one of them is set.
template <typename T>
Reduction ReductionOf(const T& loss) {
  if constexpr (requires { loss.size_average; }) {
    if (!loss.size_average.has_value() && !loss.reduce.has_value()) return loss.reduction;
    if (!loss.reduce.value_or(true)) return Reduction::kNone;
    return loss.size_average.value_or(true) ? Reduction::kMean : Reduction::kSum;
  } else {
    return loss.reduction;
  }
}

}  // namespace lossd

#endif  // LOSSD_LOSSES_REDUCTION_H_
