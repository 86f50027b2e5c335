#ifndef LOSSD_LOSSES_REGULARISERS_CONSISTENCY_LOSS_H_
#define LOSSD_LOSSES_REGULARISERS_CONSISTENCY_LOSS_H_

#include <ATen/ATen.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/pointwise/map_loss.h"
#include "lossd/losses/reduction.h"

namespace lossd {

// A regulariser that keeps two predictions of one shape consistent with each other: the mean over
// all elements of a map of them × mask.
class ConsistencyLoss : public MapLoss {
 public:
  explicit ConsistencyLoss(BlockShape shape = BlockShape::kVoxels)
      : MapLoss(Reduction::kMean, shape) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = FirstError(
            {CheckPrediction("pred", inputs.pred), CheckPrediction("pred2", inputs.pred2)});
        !status.ok()) {
      return status;
    }
    return FirstError({CheckLikePrediction("pred2", inputs.pred2, inputs.pred),
                       CheckBroadcastable("weight", inputs.weight, inputs.pred)});
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const final {
    return TimesMask(Compare(inputs.pred, inputs.pred2), inputs.weight);
  }

  virtual at::Tensor Compare(const at::Tensor& first, const at::Tensor& second) const = 0;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGULARISERS_CONSISTENCY_LOSS_H_
