#include "lossd/losses/scnp.h"

#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/bce.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/pooling.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

// The time grows with the cube of the size.
constexpr int64_t kMaxNeighborhoodSize = 15;

class ScnpLoss : public AutogradLoss {
 public:
  explicit ScnpLoss(v1::ScnpLossOptions options) : options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override { return CheckPredTarget(inputs); }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    std::optional<at::Tensor> pos_weight;
    if (options_.auto_pos_weight()) {
      pos_weight = BalancingPosWeight(inputs.target, inputs.weight, options_.max_pos_weight(),
                                      inputs.pred.scalar_type());
    }
    const at::Tensor map =
        at::binary_cross_entropy_with_logits(WorstNeighbours(inputs.pred, inputs.target.gt(0.5)),
                                             inputs.target.to(inputs.pred.scalar_type()), {},
                                             pos_weight, TorchReduction(v1::REDUCTION_NONE));
    return ReduceWeightedPerChannel(map, inputs.weight, options_.reduction());
  }

 private:
  at::Tensor WorstNeighbours(const at::Tensor& logits, const at::Tensor& foreground) const {
    // Voxels of the other class must never be chosen; every voxel is a neighbour of its own.
    const auto never = std::numeric_limits<float>::infinity();
    const std::vector<int64_t> window(logits.dim() - 2, options_.neighborhood_size());
    const at::Tensor least = MinPool(logits.masked_fill(foreground.logical_not(), never), window);
    const at::Tensor greatest = MaxPool(logits.masked_fill(foreground, -never), window);
    return at::where(foreground, least, greatest);
  }

  const v1::ScnpLossOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateScnpLoss(const v1::LossOptions& options) {
  const auto& own = options.scnp();
  if (absl::Status status = FirstError(
          {CheckReduction(own.reduction()), CheckPositive("max_pos_weight", own.max_pos_weight())});
      !status.ok()) {
    return status;
  }
  const int64_t size = own.neighborhood_size();
  if (size < 1 || size > kMaxNeighborhoodSize || size % 2 == 0) {
    return FieldError("neighborhood_size", absl::StrCat(size),
                      absl::StrCat("an odd number, 1 to ", kMaxNeighborhoodSize));
  }
  return std::make_unique<ScnpLoss>(own);
}

}  // namespace lossd
