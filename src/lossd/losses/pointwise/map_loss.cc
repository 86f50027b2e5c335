#include "lossd/losses/pointwise/map_loss.h"

#include <numeric>
#include <vector>

#include "lossd/sweep/large_tensor.h"

namespace lossd {

double MapLoss::Factor(const LossInputs& inputs) const {
  return reduction_ == Reduction::kMean ? 1 / static_cast<double>(inputs.pred.numel()) : 1;
}

absl::StatusOr<at::Tensor> MapLoss::Forward(const LossInputs& inputs) const {
  const absl::StatusOr<at::Tensor> map = Map(inputs);
  if (!map.ok() || reduction_ == Reduction::kNone) return map;
  return map->sum() * Factor(inputs);
}

std::optional<absl::StatusOr<ValueAndGradient>> MapLoss::ComputeFused(
    const LossInputs& inputs, const Context& context) const {
  if (reduction_ == Reduction::kNone) return std::nullopt;
  const InputBlocks blocks(inputs, shape_);
  const double factor = Factor(inputs);
  const at::Tensor factors = at::scalar_tensor(factor, at::kFloat);
  ValueAndGradient result;
  if (inputs.want_gradient) {
    result.gradient = EmptyFloats(inputs.pred.sizes());
    if (inputs.pred2.defined()) result.gradient2 = EmptyFloats(inputs.pred.sizes());
  }
  std::vector<double> sums(blocks.count());
  absl::Status status =
      blocks.ForEach(context, [&](int64_t block, const LossInputs& part) -> absl::Status {
        const absl::StatusOr<at::Tensor> map = Map(part);
        if (!map.ok()) return map.status();
        sums[block] = map->detach().sum().item<double>();
        if (!inputs.want_gradient) return absl::OkStatus();
        const ValueAndGradient of_part = Differentiate(*map, factors, part);
        blocks.PartOf(result.gradient, block).copy_(of_part.gradient);
        if (inputs.pred2.defined()) {
          blocks.PartOf(result.gradient2, block).copy_(of_part.gradient2);
        }
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  result.value = at::scalar_tensor(sum * factor, at::kFloat);
  return result;
}

}  // namespace lossd
