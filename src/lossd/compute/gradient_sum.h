#ifndef LOSSD_COMPUTE_GRADIENT_SUM_H_
#define LOSSD_COMPUTE_GRADIENT_SUM_H_

#include <ATen/ATen.h>

#include "lossd/base/context.h"
#include "lossd/compute/prediction_clamp.h"
#include "lossd/plan/channel_slice.h"

namespace lossd {

// The gradient of a sum of terms with respect to one prediction [B, C, …], each term adding to its
// channels.
class GradientSum {
 public:
  // `overlapping`: whether terms may share channels. Only then a sum in half precision is added up
  // in float32. `dtype`: of the sum.
  GradientSum(at::Tensor prediction, bool overlapping, at::ScalarType dtype);

  // Adds factor × gradient; takes the gradient's memory over where it can. Returns whether every
  // element of the product is finite.
  bool Add(const ChannelRange& channels, at::Tensor gradient, double factor,
           const Context& context);

  // The sum, zero where the clamp cut; zeros when nothing was added.
  // `clamp` may be null when no term looked at the prediction.
  at::Tensor Finish(const PredictionClamp* clamp, const Context& context);

 private:
  at::Tensor prediction_;
  at::ScalarType dtype_;
  at::ScalarType dtype_while_adding_;
  at::Tensor sum_;
};

}  // namespace lossd

#endif  // LOSSD_COMPUTE_GRADIENT_SUM_H_
