#include "lossd/losses/dice.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

// Channel 0: 2 voxels of 0.5 and a target of one of them. Channel 1: empty.
LossInputs HalfRight() {
  return {.pred = Floats({0.5, 0.5, 0, 0}, {1, 2, 1, 2}),
          .target = Floats({1, 0, 0, 0}, {1, 2, 1, 2})};
}

TEST(DiceLossTest, Values) {
  const LossInputs inputs = HalfRight();
  // 2·½ / (1 + 1) and 0/0, smoothed to 1.
  EXPECT_NEAR(Value("dice {}", inputs), 0.25, 1e-4);
  EXPECT_NEAR(Value("dice { reduction: REDUCTION_SUM }", inputs), 0.5, 1e-4);
  // ½ / 1½.
  EXPECT_NEAR(Value("dice { jaccard: true reduction: REDUCTION_SUM }", inputs), 2.0 / 3, 1e-4);
  // 2·½ / (½ + 1).
  EXPECT_NEAR(Value("dice { squared_pred: true reduction: REDUCTION_SUM }", inputs), 1.0 / 3, 1e-4);
  EXPECT_NEAR(Value("dice { smooth_nr: 1 smooth_dr: 2 reduction: REDUCTION_SUM }", inputs), 1,
              1e-5);
  EXPECT_NEAR(Value("dice { weight: [3, 1] }", inputs), 0.75, 1e-4);
  EXPECT_NEAR(Value("dice { include_background: false }", inputs), 0, 1e-5);
  // |½ − 1| + |½| are the errors.
  EXPECT_NEAR(Value("dice { soft_label: true reduction: REDUCTION_SUM }", inputs), 0.5, 1e-4);
  EXPECT_EQ(Compute("dice { reduction: REDUCTION_NONE }", inputs).value.sizes(),
            at::IntArrayRef({1, 2, 1, 1}));
}

TEST(DiceLossTest, BatchIsOneVolume) {
  const LossInputs inputs = {.pred = Floats({1, 0, 1, 1}, {2, 1, 1, 2}),
                             .target = Floats({1, 0, 0, 0}, {2, 1, 1, 2})};
  EXPECT_NEAR(Value("dice {}", inputs), 0.5, 1e-4);
  EXPECT_NEAR(Value("dice { batch: true }", inputs), 1 - 2.0 / 4, 1e-4);
}

TEST(DiceLossTest, ActivationsAndOneHotTargets) {
  LossInputs inputs = {.pred = at::zeros({1, 2, 1, 2}),
                       .target = at::tensor({0, 1}).view({1, 1, 1, 2})};
  EXPECT_NEAR(Value("dice { to_onehot_y: true sigmoid: true }", inputs), 0.5, 1e-4);
  EXPECT_NEAR(Value("dice { to_onehot_y: true softmax: true }", inputs), 0.5, 1e-4);
  inputs.target = at::tensor({0, 2}).view({1, 1, 1, 2});
  EXPECT_THAT(ErrorOf("dice { to_onehot_y: true }", inputs),
              StartsWith("target: got class 2, expected classes 0 to 1"));
  EXPECT_THAT(ErrorOf("dice {}", inputs), StartsWith("target: got shape [1, 1, 1, 2]"));
}

TEST(DiceCELossTest, AddsCrossEntropy) {
  const LossInputs inputs = {.pred = at::zeros({1, 2, 1, 2}),
                             .target = at::tensor({0, 1}).view({1, 1, 1, 2})};
  EXPECT_NEAR(Value("dice_ce { to_onehot_y: true softmax: true }", inputs), 0.5 + std::log(2.0),
              1e-4);
  EXPECT_NEAR(
      Value("dice_ce { to_onehot_y: true softmax: true lambda_dice: 2 lambda_ce: 3 }", inputs),
      1 + 3 * std::log(2.0), 1e-4);
}

TEST(DiceCELossTest, SingleChannelHasBinaryCrossEntropy) {
  const LossInputs inputs = {.pred = at::zeros({1, 1, 1, 2}),
                             .target = Floats({1, 0}, {1, 1, 1, 2})};
  EXPECT_NEAR(Value("dice_ce { sigmoid: true weight: 3 }", inputs), 0.5 + 2 * std::log(2.0), 1e-4);
}

TEST(DiceFocalLossTest, AddsFocalLoss) {
  const LossInputs inputs = {.pred = at::zeros({1, 1, 1, 2}),
                             .target = Floats({1, 0}, {1, 1, 1, 2})};
  EXPECT_NEAR(Value("dice_focal { sigmoid: true }", inputs), 0.5 + std::log(2.0) / 4, 1e-4);
  EXPECT_NEAR(Value("dice_focal { sigmoid: true gamma: 0 alpha: 0.5 lambda_dice: 0 }", inputs),
              std::log(2.0) / 2, 1e-4);
}

class DiceFamilyTest : public ::testing::TestWithParam<std::string> {};

TEST_P(DiceFamilyTest, GradientIsThatOfTheValue) {
  ExpectGradientOfValue(*MakeLoss(GetParam()),
                        {.pred = Normal({2, 3, 2, 2, 3}, 1), .target = Coins({2, 3, 2, 2, 3}, 2)});
}

TEST_P(DiceFamilyTest, TypesAgree) {
  ExpectSameInEveryType(*MakeLoss(GetParam()), {.pred = Normal({2, 3, 5, 60, 43}, 1),
                                                .target = Coins({2, 3, 5, 60, 43}, 2)});
}

INSTANTIATE_TEST_SUITE_P(
    All, DiceFamilyTest,
    ::testing::Values("dice { sigmoid: true }", "dice { sigmoid: true batch: true jaccard: true }",
                      "dice { softmax: true weight: [1, 2, 3] }",
                      "dice { sigmoid: true squared_pred: true reduction: REDUCTION_NONE }",
                      "dice { sigmoid: true soft_label: true include_background: false }",
                      "dice { sigmoid: true reduction: REDUCTION_SUM weight: 2 }",
                      "dice { sigmoid: true include_background: false weight: [2, 3] }",
                      "dice_ce { softmax: true weight: [1, 2, 3] label_smoothing: 0.1 }",
                      "dice_ce { sigmoid: true include_background: false weight: [1, 2, 3] }",
                      "dice_focal { sigmoid: true gamma: 1.5 alpha: 0.3 weight: [1, 2, 3] }"));

TEST(DiceOptionsTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf("dice { sigmoid: true softmax: true }"),
              StartsWith("softmax: got true together with sigmoid"));
  EXPECT_THAT(ErrorOf("dice { weight: [1, -1] }"), StartsWith("weight: got -1"));
  EXPECT_THAT(ErrorOf("dice_ce { reduction: REDUCTION_NONE }"), StartsWith("reduction: got none"));
  EXPECT_THAT(ErrorOf("dice_ce { lambda_ce: -1 }"), StartsWith("lambda_ce: got -1"));
  EXPECT_THAT(ErrorOf("dice_focal { alpha: 2 }"), StartsWith("alpha: got 2"));
  EXPECT_THAT(ErrorOf("dice { weight: [1, 2, 3] }", HalfRight()),
              StartsWith("kwargs.weight: got 3 values"));
  EXPECT_THAT(ErrorOf("dice_ce { weight: 1 }", HalfRight()),
              StartsWith("kwargs.weight: got 1 values, expected one for each of the 2 channels"));
}

}  // namespace
}  // namespace lossd::testing
