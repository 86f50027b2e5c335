#include "lossd/losses/pointwise/map_loss.h"

#include <numeric>
#include <vector>

#include "lossd/sweep/gradient_writer.h"

namespace lossd {

double MapLoss::Factor(const LossInputs& inputs, const Context& /*context*/) const {
  return reduction_ == Reduction::kMean ? 1 / static_cast<double>(inputs.pred.numel()) : 1;
}

absl::StatusOr<at::Tensor> MapLoss::Forward(const LossInputs& inputs) const {
  const absl::StatusOr<at::Tensor> map = Map(inputs);
  if (!map.ok() || reduction_ == Reduction::kNone) return map;
  TaskPool alone(1);
  return map->sum() * Factor(inputs, alone);
}

std::optional<absl::StatusOr<LossResult>> MapLoss::ComputeFused(const LossInputs& inputs,
                                                                const Context& context) const {
  if (reduction_ == Reduction::kNone) return std::nullopt;
  const InputBlocks blocks(inputs, shape_);
  const double factor = Factor(inputs, context);
  // The derivative multiplies anyway: by what both gradients are to be multiplied by, too.
  const bool alike = !inputs.pred2.defined() || inputs.gradient2.factor == inputs.gradient.factor;
  const at::Tensor factors =
      at::scalar_tensor(alike ? factor * inputs.gradient.factor : factor, at::kFloat);
  const auto product = [alike](const at::Tensor& gradient, const GradientInto& into) {
    return alike ? gradient : gradient * into.factor;
  };
  GradientWriter writer(inputs.gradient);
  GradientWriter writer2(inputs.gradient2);
  std::vector<double> sums(blocks.count());
  absl::Status status =
      blocks.ForEach(context, [&](int64_t block, const LossInputs& part) -> absl::Status {
        const absl::StatusOr<at::Tensor> map = Map(part);
        if (!map.ok()) return map.status();
        sums[block] = map->detach().sum().item<double>();
        if (!inputs.gradient.wanted()) return absl::OkStatus();
        const Gradients of_part = Differentiate(*map, factors, part);
        writer.PutPart(blocks.PartOf(inputs.gradient.into, block),
                       product(of_part.pred, inputs.gradient));
        if (inputs.pred2.defined()) {
          writer2.PutPart(blocks.PartOf(inputs.gradient2.into, block),
                          product(of_part.pred2, inputs.gradient2));
        }
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  const double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  return LossResult{.value = at::scalar_tensor(sum * factor, at::kFloat),
                    .finite = writer.finite() && writer2.finite()};
}

}  // namespace lossd
