#include "lossd/sweep/loss_sum.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <utility>

#include "lossd/losses/torch_status.h"

namespace lossd {
namespace {

class LossSum : public Loss {
 public:
  LossSum(Summand first, Summand other) : first_(std::move(first)), other_(std::move(other)) {}

  absl::StatusOr<ValueAndGradient> Compute(const LossInputs& inputs,
                                           const Context& context) const override {
    return CatchTorchErrors([&]() -> absl::StatusOr<ValueAndGradient> {
      absl::StatusOr<ValueAndGradient> first = first_.loss->Compute(inputs, context);
      if (!first.ok()) return first;
      const absl::StatusOr<ValueAndGradient> other = other_.loss->Compute(inputs, context);
      if (!other.ok()) return other;
      const at::NoGradGuard no_grad;
      ValueAndGradient sum = {.value = first_.factor * first->value + other_.factor * other->value};
      if (inputs.want_gradient) {
        // It counts as often as it is added to elements of a map.
        const int64_t times = sum.value.numel() / first->value.numel();
        sum.gradient = std::move(first->gradient);
        if (const double factor = first_.factor * static_cast<double>(times); factor != 1) {
          sum.gradient.mul_(factor);
        }
        sum.gradient.add_(other->gradient, other_.factor);
      }
      return sum;
    });
  }

 private:
  const Summand first_;
  const Summand other_;
};

}  // namespace

std::unique_ptr<const Loss> MakeLossSum(Summand first, Summand second) {
  return std::make_unique<LossSum>(std::move(first), std::move(second));
}

}  // namespace lossd
