#include "lossd/losses/overlap/dice.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>

#include "lossd/losses/overlap/dice_ce.h"
#include "lossd/losses/overlap/dice_focal.h"
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
  EXPECT_NEAR(Value(Dice(), inputs), 0.25, 1e-4);
  EXPECT_NEAR(Value(Dice{.reduction = Reduction::kSum}, inputs), 0.5, 1e-4);
  // ½ / 1½.
  EXPECT_NEAR(Value(Dice{.jaccard = true, .reduction = Reduction::kSum}, inputs), 2.0 / 3, 1e-4);
  // 2·½ / (½ + 1).
  EXPECT_NEAR(Value(Dice{.squared_pred = true, .reduction = Reduction::kSum}, inputs), 1.0 / 3,
              1e-4);
  EXPECT_NEAR(Value(Dice{.reduction = Reduction::kSum, .smooth_nr = 1, .smooth_dr = 2}, inputs), 1,
              1e-5);
  EXPECT_NEAR(Value(Dice{.weight = {3, 1}}, inputs), 0.75, 1e-4);
  EXPECT_NEAR(Value(Dice{.include_background = false}, inputs), 0, 1e-5);
  // |½ − 1| + |½| are the errors.
  EXPECT_NEAR(Value(Dice{.reduction = Reduction::kSum, .soft_label = true}, inputs), 0.5, 1e-4);
  EXPECT_EQ(Compute(Dice{.reduction = Reduction::kNone}, inputs).value.sizes(),
            at::IntArrayRef({1, 2, 1, 1}));
}

TEST(DiceLossTest, BatchIsOneVolume) {
  const LossInputs inputs = {.pred = Floats({1, 0, 1, 1}, {2, 1, 1, 2}),
                             .target = Floats({1, 0, 0, 0}, {2, 1, 1, 2})};
  EXPECT_NEAR(Value(Dice(), inputs), 0.5, 1e-4);
  EXPECT_NEAR(Value(Dice{.batch = true}, inputs), 1 - 2.0 / 4, 1e-4);
}

TEST(DiceLossTest, ActivationsAndOneHotTargets) {
  LossInputs inputs = {.pred = at::zeros({1, 2, 1, 2}),
                       .target = at::tensor({0, 1}).view({1, 1, 1, 2})};
  EXPECT_NEAR(Value(Dice{.to_onehot_y = true, .sigmoid = true}, inputs), 0.5, 1e-4);
  EXPECT_NEAR(Value(Dice{.to_onehot_y = true, .softmax = true}, inputs), 0.5, 1e-4);
  inputs.target = at::tensor({0, 2}).view({1, 1, 1, 2});
  EXPECT_THAT(ErrorOf(Dice{.to_onehot_y = true}, inputs),
              StartsWith("target: got class 2, expected classes 0 to 1"));
  EXPECT_THAT(ErrorOf(Dice(), inputs), StartsWith("target: got shape [1, 1, 1, 2]"));
}

TEST(DiceCELossTest, AddsCrossEntropy) {
  const LossInputs inputs = {.pred = at::zeros({1, 2, 1, 2}),
                             .target = at::tensor({0, 1}).view({1, 1, 1, 2})};
  EXPECT_NEAR(Value(DiceCE{.to_onehot_y = true, .softmax = true}, inputs), 0.5 + std::log(2.0),
              1e-4);
  EXPECT_NEAR(
      Value(DiceCE{.to_onehot_y = true, .softmax = true, .lambda_dice = 2, .lambda_ce = 3}, inputs),
      1 + 3 * std::log(2.0), 1e-4);
}

TEST(DiceCELossTest, SingleChannelHasBinaryCrossEntropy) {
  const LossInputs inputs = {.pred = at::zeros({1, 1, 1, 2}),
                             .target = Floats({1, 0}, {1, 1, 1, 2})};
  EXPECT_NEAR(Value(DiceCE{.sigmoid = true, .weight = {3}}, inputs), 0.5 + 2 * std::log(2.0), 1e-4);
}

TEST(DiceFocalLossTest, AddsFocalLoss) {
  const LossInputs inputs = {.pred = at::zeros({1, 1, 1, 2}),
                             .target = Floats({1, 0}, {1, 1, 1, 2})};
  EXPECT_NEAR(Value(DiceFocal{.sigmoid = true}, inputs), 0.5 + std::log(2.0) / 4, 1e-4);
  EXPECT_NEAR(Value(DiceFocal{.sigmoid = true, .gamma = 0, .lambda_dice = 0, .alpha = 0.5}, inputs),
              std::log(2.0) / 2, 1e-4);
}

class DiceFamilyTest : public ::testing::TestWithParam<AnyLoss> {};

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
    ::testing::Values(
        AnyLoss(Dice{.sigmoid = true}),
        AnyLoss(Dice{.sigmoid = true, .jaccard = true, .batch = true}),
        AnyLoss(Dice{.softmax = true, .weight = {1, 2, 3}}),
        AnyLoss(Dice{.sigmoid = true, .squared_pred = true, .reduction = Reduction::kNone}),
        AnyLoss(Dice{.include_background = false, .sigmoid = true, .soft_label = true}),
        AnyLoss(Dice{.sigmoid = true, .reduction = Reduction::kSum, .weight = {2}}),
        AnyLoss(Dice{.include_background = false, .sigmoid = true, .weight = {2, 3}}),
        AnyLoss(DiceCE{.softmax = true, .weight = {1, 2, 3}, .label_smoothing = 0.1}),
        AnyLoss(DiceCE{.include_background = false, .sigmoid = true, .weight = {1, 2, 3}}),
        AnyLoss(DiceFocal{.sigmoid = true, .gamma = 1.5, .weight = {1, 2, 3}, .alpha = 0.3})));

TEST(DiceOptionsTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(Dice{.sigmoid = true, .softmax = true}),
              StartsWith("softmax: got true together with sigmoid"));
  EXPECT_THAT(ErrorOf(Dice{.weight = {1, -1}}), StartsWith("weight: got -1"));
  EXPECT_THAT(ErrorOf(DiceCE{.reduction = Reduction::kNone}), StartsWith("reduction: got none"));
  EXPECT_THAT(ErrorOf(DiceCE{.lambda_ce = -1}), StartsWith("lambda_ce: got -1"));
  EXPECT_THAT(ErrorOf(DiceFocal{.alpha = 2}), StartsWith("alpha: got 2"));
  EXPECT_THAT(ErrorOf(Dice{.weight = {1, 2, 3}}, HalfRight()),
              StartsWith("kwargs.weight: got 3 values"));
  EXPECT_THAT(ErrorOf(DiceCE{.weight = {1}}, HalfRight()),
              StartsWith("kwargs.weight: got 1 values, expected one for each of the 2 channels"));
  // The cross entropy counts the background whether Dice does or not.
  LossInputs inputs = {.pred = at::zeros({1, 4, 1, 2}), .target = at::zeros({1, 4, 1, 2})};
  EXPECT_EQ(ErrorOf(DiceCE{.include_background = false, .weight = {1, 2, 3}}, inputs),
            "kwargs.weight: got 3 values, expected one for each of the 4 channels, background "
            "included, as in MONAI");
  EXPECT_TRUE(
      std::isfinite(Value(DiceCE{.include_background = false, .weight = {1, 2, 3, 4}}, inputs)));
}

}  // namespace
}  // namespace lossd::testing
