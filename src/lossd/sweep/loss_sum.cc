#include "lossd/sweep/loss_sum.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "lossd/losses/torch_status.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/tensor/large_tensor.h"

namespace lossd {
namespace {

class LossSum : public Loss {
 public:
  LossSum(Summand first, Summand other) : first_(std::move(first)), other_(std::move(other)) {}

  absl::StatusOr<LossResult> Compute(const LossInputs& inputs,
                                     const Context& context) const override {
    return CatchTorchErrors([&]() -> absl::StatusOr<LossResult> {
      const GradientInto& gradient = inputs.gradient;
      if (!gradient.wanted() || gradient.into.element_size() >= 4) {
        return ComputeInto(inputs, gradient, context);
      }
      // In half precision a sum would be rounded twice.
      const GradientInto sum = {.into = EmptyLarge(inputs.pred.sizes())};
      absl::StatusOr<LossResult> result = ComputeInto(inputs, sum, context);
      if (result.ok()) result->finite = WriteGradient(sum.into, gradient, context);
      return result;
    });
  }

  int64_t ScratchBytes(const LossShape& shape) const override {
    return shape.bytes_beside() +
           std::max(first_.loss->ScratchBytes(shape), other_.loss->ScratchBytes(shape));
  }

  double Cost(const LossShape& shape) const override {
    return first_.loss->Cost(shape) + other_.loss->Cost(shape);
  }

 private:
  absl::StatusOr<LossResult> ComputeInto(const LossInputs& inputs, const GradientInto& gradient,
                                         const Context& context) const {
    // A summand's result; its gradient counts `times` times.
    const auto compute = [&](const Summand& summand, int64_t times, bool add) {
      LossInputs of_summand = inputs;
      of_summand.gradient = gradient;
      of_summand.gradient.factor *= summand.factor * static_cast<double>(times);
      of_summand.gradient.add = gradient.add || add;
      return summand.loss->Compute(of_summand, context);
    };
    absl::StatusOr<LossResult> first = compute(first_, 1, /*add=*/false);
    if (!first.ok()) return first;
    const absl::StatusOr<LossResult> other = compute(other_, 1, /*add=*/true);
    if (!other.ok()) return other;
    const at::NoGradGuard no_grad;
    LossResult sum = {.value = first_.factor * first->value + other_.factor * other->value,
                      .finite = first->finite && other->finite};
    // The first counts as often as it is added to elements of a map.
    const int64_t times = sum.value.numel() / first->value.numel();
    if (times == 1 || !gradient.wanted()) return sum;
    first = compute(first_, times - 1, /*add=*/true);
    if (!first.ok()) return first;
    sum.finite = sum.finite && first->finite;
    return sum;
  }

  const Summand first_;
  const Summand other_;
};

}  // namespace

std::unique_ptr<const Loss> MakeLossSum(Summand first, Summand second) {
  return std::make_unique<LossSum>(std::move(first), std::move(second));
}

}  // namespace lossd
