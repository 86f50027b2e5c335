#include "lossd/losses/generalized_dice.h"

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
  const std::string sharp = " smooth_nr: 0 smooth_dr: 0 }";
  // 2·(w₁·2) / (w₀·1 + w₁·4) with w of 1 and ¼, 1 and ½, 1 and 1.
  EXPECT_NEAR(Value("generalized_dice {" + sharp, inputs), 1 - 1.0 / 2, 1e-6);
  EXPECT_NEAR(Value("generalized_dice { w_type: WEIGHT_TYPE_SIMPLE" + sharp, inputs), 1 - 2.0 / 3,
              1e-6);
  EXPECT_NEAR(Value("generalized_dice { w_type: WEIGHT_TYPE_UNIFORM" + sharp, inputs), 1 - 4.0 / 5,
              1e-6);
}

TEST(GeneralizedDiceLossTest, AbsentClassHasTheGreatestWeight) {
  LossInputs inputs = SmallOneMissed();
  inputs.pred.select(1, 2).fill_(1);
  // Three false positives of weight 1.
  EXPECT_NEAR(Value("generalized_dice { smooth_nr: 0 smooth_dr: 0 }", inputs), 1 - 1.0 / 5, 1e-6);
}

TEST(GeneralizedDiceLossTest, GradientIsThatOfTheValue) {
  for (const char* options :
       {"generalized_dice { sigmoid: true }",
        "generalized_dice { softmax: true batch: true w_type: WEIGHT_TYPE_SIMPLE }",
        "generalized_dice { sigmoid: true soft_label: true reduction: REDUCTION_NONE }"}) {
    const LossInputs inputs = {.pred = Normal({2, 3, 2, 2, 3}, 1),
                               .target = Coins({2, 3, 2, 2, 3}, 2)};
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    ExpectSameInEveryType(*MakeLoss(options), inputs);
  }
}

TEST(GeneralizedDiceLossTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf("generalized_dice { w_type: WEIGHT_TYPE_UNSPECIFIED }"),
              StartsWith("w_type"));
  EXPECT_THAT(ErrorOf("generalized_dice { sigmoid: true softmax: true }"), StartsWith("softmax"));
}

}  // namespace
}  // namespace lossd::testing
