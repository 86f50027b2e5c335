#include "lossd/losses/pointwise/log_cosh.h"

#include <gmock/gmock.h>

#include <cmath>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

TEST(LogCoshLossTest, IsTheLogarithmOfTheHyperbolicCosine) {
  const at::Tensor pred = Normal({2, 3, 4, 5, 6}, 1);
  const at::Tensor target = Normal({2, 3, 4, 5, 6}, 2);
  const at::Tensor weight = Coins({2, 1, 4, 5, 6}, 3, 0.7) * 1.5;
  const at::Tensor map = (pred - target).to(at::kDouble).cosh().log() * weight;
  const LossInputs inputs = {.pred = pred, .target = target, .weight = weight};
  EXPECT_NEAR(Value(LogCosh(), inputs),
              (map.sum() / weight.gt(0).expand_as(map).sum()).item<double>(), 1e-6);
  EXPECT_NEAR(Value(LogCosh{.reduction = Reduction::kSum}, inputs), map.sum().item<double>(), 1e-4);
  const ValueAndGradient sum = Compute(LogCosh{.reduction = Reduction::kSum}, inputs);
  EXPECT_TRUE(at::allclose(sum.gradient, (pred - target).tanh() * weight, 1e-5, 1e-7));
}

// Where cosh overflows, and where 1 + d²/2 is 1.
TEST(LogCoshLossTest, IsAccurateForAnyDifference) {
  for (const float d : {1e-12F, 1e-4F, 0.1F, 0.62F, 0.63F, 3.0F, 60.0F, 1e4F, 1e38F}) {
    const LossInputs inputs = {.pred = at::full({1, 1, 2, 2}, d),
                               .target = at::zeros({1, 1, 2, 2})};
    const double exact = d < 1 ? std::log1p(2 * std::pow(std::sinh(d / 2.0), 2))
                               : d + std::log1p(std::exp(-2.0 * d)) - std::log(2.0);
    const ValueAndGradient result = Compute(LogCosh(), inputs);
    EXPECT_NEAR(result.value.item<double>() / exact, 1, 1e-6) << d;
    EXPECT_NEAR(result.gradient.view(-1)[0].item<double>() * 4, std::tanh(d), 1e-6) << d;
  }
}

}  // namespace
}  // namespace lossd::testing
