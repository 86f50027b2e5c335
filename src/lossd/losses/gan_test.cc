#include "lossd/losses/gan.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

LossInputs Judged(bool real) {
  return {.pred = Floats({0, 2}, {2}), .target = at::scalar_tensor(real, at::kBool)};
}

TEST(GANLossTest, Values) {
  EXPECT_NEAR(Value(GAN(), Judged(true)), 1, 1e-6);
  EXPECT_NEAR(Value(GAN(), Judged(false)), 2, 1e-6);
  EXPECT_NEAR(Value(GAN{.target_real_label = 2}, Judged(true)), 2, 1e-6);
  const double sum = std::log(2.0) + std::log1p(std::exp(2.0));
  EXPECT_NEAR(Value(GAN{.gan_mode = GanMode::kVanilla}, Judged(false)), sum / 2, 1e-6);
  EXPECT_NEAR(Value(GAN{.gan_mode = GanMode::kVanilla}, Judged(true)), (sum - 2) / 2, 1e-6);
  EXPECT_NEAR(Value(GAN{.gan_mode = GanMode::kWgangp}, Judged(true)), -1, 1e-6);
  EXPECT_NEAR(Value(GAN{.gan_mode = GanMode::kWgangp}, Judged(false)), 1, 1e-6);
}

TEST(GANLossTest, GradientIsThatOfTheValue) {
  for (const GanMode mode : {GanMode::kLsgan, GanMode::kVanilla, GanMode::kWgangp}) {
    const auto loss = MakeLoss(GAN{.gan_mode = mode});
    LossInputs inputs = Judged(true);
    inputs.pred = Normal({2, 1, 4, 4}, 1);
    ExpectGradientOfValue(*loss, inputs);
    ExpectSameInEveryType(*loss, inputs);
  }
}

TEST(GANLossTest, MistakesAreNamed) {
  LossInputs inputs = Judged(true);
  inputs.target = at::zeros({2});
  EXPECT_THAT(ErrorOf(GAN(), inputs), StartsWith("target: got shape [2]"));
  inputs.target.reset();
  EXPECT_THAT(ErrorOf(GAN(), inputs), StartsWith("target: got nothing"));
  EXPECT_THAT(ErrorOf(GAN(), {.target = at::zeros({})}), StartsWith("pred"));
  EXPECT_THAT(ErrorOf(GAN{.target_fake_label = INFINITY}), StartsWith("target_fake_label"));
}

}  // namespace
}  // namespace lossd::testing
