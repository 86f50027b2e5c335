#include "lossd/losses/overlap/generalized_dice.h"

#include <gmock/gmock.h>

#include <string>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

// Volumes 1 and 2 of classes 0 and 1; the first is missed, the second found. Class 2 is absent and
// not predicted.
LossInputs SmallOneMissed() {
  return {.pred = Floats({0, 0, 0, 0, 1, 1, 0, 0, 0}, {1, 3, 1, 3}),
          .target = Floats({1, 0, 0, 0, 1, 1, 0, 0, 0}, {1, 3, 1, 3})};
}

TEST(GeneralizedDiceLossTest, WeighsClassesByVolume) {
  const LossInputs inputs = SmallOneMissed();
  // 2·(w₁·2) / (w₀·1 + w₁·4) with w of 1 and ¼, 1 and ½, 1 and 1.
  EXPECT_NEAR(Value(GeneralizedDice{.smooth_nr = 0, .smooth_dr = 0}, inputs), 1 - 1.0 / 2, 1e-6);
  EXPECT_NEAR(
      Value(GeneralizedDice{.w_type = WeightType::kSimple, .smooth_nr = 0, .smooth_dr = 0}, inputs),
      1 - 2.0 / 3, 1e-6);
  EXPECT_NEAR(Value(GeneralizedDice{.w_type = WeightType::kUniform, .smooth_nr = 0, .smooth_dr = 0},
                    inputs),
              1 - 4.0 / 5, 1e-6);
}

TEST(GeneralizedDiceLossTest, AbsentClassHasTheGreatestWeight) {
  LossInputs inputs = SmallOneMissed();
  inputs.pred.select(1, 2).fill_(1);
  // Three false positives of weight 1.
  EXPECT_NEAR(Value(GeneralizedDice{.smooth_nr = 0, .smooth_dr = 0}, inputs), 1 - 1.0 / 5, 1e-6);
}

TEST(GeneralizedDiceLossTest, GradientIsThatOfTheValue) {
  for (const auto& options :
       {GeneralizedDice{.sigmoid = true},
        GeneralizedDice{.softmax = true, .w_type = WeightType::kSimple, .batch = true},
        GeneralizedDice{.sigmoid = true, .reduction = Reduction::kNone, .soft_label = true}}) {
    const LossInputs inputs = {.pred = Normal({2, 3, 2, 2, 3}, 1),
                               .target = Coins({2, 3, 2, 2, 3}, 2)};
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    ExpectSameInEveryType(*MakeLoss(options), inputs);
  }
}

TEST(GeneralizedDiceLossTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(GeneralizedDice{.sigmoid = true, .softmax = true}), StartsWith("softmax"));
}

}  // namespace
}  // namespace lossd::testing
