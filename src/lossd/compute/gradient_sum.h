#ifndef LOSSD_COMPUTE_GRADIENT_SUM_H_
#define LOSSD_COMPUTE_GRADIENT_SUM_H_

#include <ATen/ATen.h>

#include <vector>

#include "lossd/base/context.h"
#include "lossd/compute/prediction_clamp.h"
#include "lossd/losses/loss.h"
#include "lossd/plan/channel_slice.h"

namespace lossd {

// The gradient of a sum of terms with respect to one prediction [B, C, …], which each term writes
// or adds to itself.
class GradientSum {
 public:
  // `overlapping`: whether terms may share channels. Only then a sum in half precision is added up
  // in float32. `dtype`: of the sum.
  GradientSum(at::Tensor prediction, bool overlapping, at::ScalarType dtype);

  // Where a term is to put factor × its gradient with respect to these channels, before the next
  // asks.
  GradientInto Into(const ChannelRange& channels, double factor);

  struct Sum {
    at::Tensor gradient;
    // False where terms that are finite add up to what half precision cannot hold.
    bool fits = true;
  };
  // The sum, zero where the clamp cut and in channels that no term asked for. `clamp` may be null
  // when no term looked at the prediction.
  Sum Finish(const PredictionClamp* clamp, const Context& context);

 private:
  void ZeroWhatIsUnwritten(const ChannelRange& channels);

  at::Tensor prediction_;
  at::ScalarType dtype_;
  at::ScalarType dtype_while_adding_;
  at::Tensor sum_;
  std::vector<bool> written_;  // By channel.
};

}  // namespace lossd

#endif  // LOSSD_COMPUTE_GRADIENT_SUM_H_
