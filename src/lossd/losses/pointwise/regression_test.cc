#include <gmock/gmock.h>

#include <cmath>
#include <string>

#include "lossd/losses/pointwise/l1.h"
#include "lossd/losses/pointwise/mse.h"
#include "lossd/losses/pointwise/smooth_l1.h"
#include "lossd/losses/pointwise/weighted_mae.h"
#include "lossd/losses/pointwise/weighted_mse.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

// Errors 1, 0 and −3.
LossInputs ThreeErrors() {
  return {.pred = Floats({1, 2, -3}, {1, 1, 1, 3}), .target = Floats({0, 2, 0}, {1, 1, 1, 3})};
}

TEST(RegressionTest, Values) {
  const LossInputs inputs = ThreeErrors();
  EXPECT_NEAR(Value(MSE(), inputs), 10.0 / 3, 1e-6);
  EXPECT_NEAR(Value(L1(), inputs), 4.0 / 3, 1e-6);
  EXPECT_NEAR(Value(WeightedMSE{.reduction = Reduction::kSum}, inputs), 10, 1e-6);
  EXPECT_NEAR(Value(WeightedMAE{.reduction = Reduction::kSum}, inputs), 4, 1e-6);
  // ½·1²/2 and 3 − ½·2.
  EXPECT_NEAR(Value(SmoothL1{.beta = 2, .reduction = Reduction::kSum}, inputs), 0.25 + 2, 1e-6);
  EXPECT_NEAR(Value(SmoothL1{.beta = 0, .reduction = Reduction::kSum}, inputs), 4, 1e-6);
}

TEST(RegressionTest, DeprecatedOptionsOfTorch) {
  const LossInputs inputs = ThreeErrors();
  EXPECT_NEAR(Value(MSE{.size_average = false}, inputs), 10, 1e-6);
  EXPECT_NEAR(Value(L1{.reduce = true, .reduction = Reduction::kSum}, inputs), 4.0 / 3, 1e-6);
  EXPECT_EQ(Compute(L1{.reduce = false}, inputs).value.sizes(), inputs.pred.sizes());
}

TEST(RegressionTest, MeanIsOverWeightedElements) {
  LossInputs inputs = ThreeErrors();
  inputs.weight = Floats({0, 0.5, 2}, {3});
  EXPECT_NEAR(Value(WeightedMSE(), inputs), 9, 1e-6);
  EXPECT_NEAR(Value(WeightedMAE(), inputs), 3, 1e-6);
  EXPECT_NEAR(Value(SmoothL1(), inputs), 2.5, 1e-6);
}

TEST(RegressionTest, TanhComesFirst) {
  const LossInputs inputs = {.pred = Floats({1}, {1, 1, 1, 1}), .target = at::zeros({1, 1, 1, 1})};
  EXPECT_NEAR(Value(WeightedMAE{.tanh = true}, inputs), std::tanh(1.0), 1e-6);
  EXPECT_NEAR(Value(WeightedMSE{.tanh = true}, inputs), std::pow(std::tanh(1.0), 2), 1e-6);
}

TEST(RegressionTest, TargetsOfAnyType) {
  LossInputs inputs = ThreeErrors();
  for (const at::ScalarType type : {at::kByte, at::kLong, at::kHalf, at::kDouble}) {
    inputs.target = inputs.target.to(type);
    EXPECT_NEAR(Value(MSE(), inputs), 10.0 / 3, 1e-6);
  }
}

class RegressionFamilyTest : public ::testing::TestWithParam<AnyLoss> {};

TEST_P(RegressionFamilyTest, GradientIsThatOfTheValue) {
  const auto loss = MakeLoss(GetParam());
  LossInputs inputs = {.pred = Normal({2, 2, 2, 3, 2}, 1), .target = Normal({2, 2, 2, 3, 2}, 2)};
  ExpectGradientOfValue(*loss, inputs);
  inputs.weight = Coins({2, 1, 2, 3, 2}, 3) * 1.5;
  ExpectGradientOfValue(*loss, inputs);
}

TEST_P(RegressionFamilyTest, TypesAgree) {
  const auto loss = MakeLoss(GetParam());
  LossInputs inputs = {.pred = Normal({2, 2, 70, 71}, 1), .target = Normal({2, 2, 70, 71}, 2, 1)};
  ExpectSameInEveryType(*loss, inputs);
  inputs.weight = Coins({2, 1, 70, 71}, 3) * 1.5;
  ExpectSameInEveryType(*loss, inputs);
}

INSTANTIATE_TEST_SUITE_P(
    All, RegressionFamilyTest,
    ::testing::Values(AnyLoss(MSE()), AnyLoss(L1()), AnyLoss(WeightedMSE()),
                      AnyLoss(WeightedMSE{.tanh = true}),
                      AnyLoss(WeightedMSE{.reduction = Reduction::kNone}),
                      AnyLoss(WeightedMAE{.reduction = Reduction::kSum, .tanh = true}),
                      AnyLoss(SmoothL1{.beta = 0.4}), AnyLoss(SmoothL1{.beta = 0}),
                      AnyLoss(SmoothL1{.reduction = Reduction::kSum, .tanh = true})));

TEST(RegressionTest, WrongOptionsAreNamed) {
  EXPECT_THAT(ErrorOf(SmoothL1{.beta = -1}), StartsWith("beta: got -1, expected a number >= 0"));
}

}  // namespace
}  // namespace lossd::testing
