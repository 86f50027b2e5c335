#ifndef LOSSD_LOSSES_REDUCTION_H_
#define LOSSD_LOSSES_REDUCTION_H_

#include <torch/types.h>

#include "lossd/v1/options.pb.h"

namespace lossd {

// The loss map's mean or sum over all elements, or the map itself.
at::Tensor Reduce(const at::Tensor& map, v1::Reduction reduction);

// The same of map × weight, but that the mean is over the elements whose weight is above 0 (0 when
// there are none). `weight` is broadcastable to the map; undefined, it is 1 everywhere.
at::Tensor ReduceWeighted(const at::Tensor& map, const at::Tensor& weight, v1::Reduction reduction);

// ReduceWeighted of each channel of a map [B, C, …], the channels added: a scalar, or for NONE
// [B, 1, …].
at::Tensor ReduceWeightedPerChannel(const at::Tensor& map, const at::Tensor& weight,
                                    v1::Reduction reduction);

// map × mask; the map when `mask` is undefined.
at::Tensor TimesMask(const at::Tensor& map, const at::Tensor& mask);

// What at::… functions call the reduction.
int64_t TorchReduction(v1::Reduction reduction);

// The reduction of a torch.nn loss, whose deprecated options size_average and reduce take
// precedence over reduction when one of them is set.
template <typename Options>
v1::Reduction LegacyReduction(const Options& options) {
  if (!options.has_size_average() && !options.has_reduce()) return options.reduction();
  if (options.has_reduce() && !options.reduce()) return v1::REDUCTION_NONE;
  const bool mean = !options.has_size_average() || options.size_average();
  return mean ? v1::REDUCTION_MEAN : v1::REDUCTION_SUM;
}

}  // namespace lossd

#endif  // LOSSD_LOSSES_REDUCTION_H_
