#include "lossd/losses/regression.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>

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
  EXPECT_NEAR(Value("mse {}", inputs), 10.0 / 3, 1e-6);
  EXPECT_NEAR(Value("l1 {}", inputs), 4.0 / 3, 1e-6);
  EXPECT_NEAR(Value("weighted_mse { reduction: REDUCTION_SUM }", inputs), 10, 1e-6);
  EXPECT_NEAR(Value("weighted_mae { reduction: REDUCTION_SUM }", inputs), 4, 1e-6);
  // ½·1²/2 and 3 − ½·2.
  EXPECT_NEAR(Value("smooth_l1 { beta: 2 reduction: REDUCTION_SUM }", inputs), 0.25 + 2, 1e-6);
  EXPECT_NEAR(Value("smooth_l1 { beta: 0 reduction: REDUCTION_SUM }", inputs), 4, 1e-6);
}

TEST(RegressionTest, DeprecatedOptionsOfTorch) {
  const LossInputs inputs = ThreeErrors();
  EXPECT_NEAR(Value("mse { size_average: false }", inputs), 10, 1e-6);
  EXPECT_NEAR(Value("l1 { reduce: true reduction: REDUCTION_SUM }", inputs), 4.0 / 3, 1e-6);
  EXPECT_EQ(Compute("l1 { reduce: false }", inputs).value.sizes(), inputs.pred.sizes());
}

TEST(RegressionTest, MeanIsOverWeightedElements) {
  LossInputs inputs = ThreeErrors();
  inputs.weight = Floats({0, 0.5, 2}, {3});
  EXPECT_NEAR(Value("weighted_mse {}", inputs), 9, 1e-6);
  EXPECT_NEAR(Value("weighted_mae {}", inputs), 3, 1e-6);
  EXPECT_NEAR(Value("smooth_l1 {}", inputs), 2.5, 1e-6);
}

TEST(RegressionTest, TanhComesFirst) {
  const LossInputs inputs = {.pred = Floats({1}, {1, 1, 1, 1}), .target = at::zeros({1, 1, 1, 1})};
  EXPECT_NEAR(Value("weighted_mae { tanh: true }", inputs), std::tanh(1.0), 1e-6);
  EXPECT_NEAR(Value("weighted_mse { tanh: true }", inputs), std::pow(std::tanh(1.0), 2), 1e-6);
}

TEST(RegressionTest, TargetsOfAnyType) {
  LossInputs inputs = ThreeErrors();
  for (const at::ScalarType type : {at::kByte, at::kLong, at::kHalf, at::kDouble}) {
    inputs.target = inputs.target.to(type);
    EXPECT_NEAR(Value("mse {}", inputs), 10.0 / 3, 1e-6);
  }
}

class RegressionFamilyTest : public ::testing::TestWithParam<std::string> {};

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

INSTANTIATE_TEST_SUITE_P(All, RegressionFamilyTest,
                         ::testing::Values("mse {}", "l1 {}", "weighted_mse {}",
                                           "weighted_mse { tanh: true }",
                                           "weighted_mse { reduction: REDUCTION_NONE }",
                                           "weighted_mae { tanh: true reduction: REDUCTION_SUM }",
                                           "smooth_l1 { beta: 0.4 }", "smooth_l1 { beta: 0 }",
                                           "smooth_l1 { tanh: true reduction: REDUCTION_SUM }"));

TEST(RegressionTest, WrongOptionsAreNamed) {
  EXPECT_THAT(ErrorOf("smooth_l1 { beta: -1 }"),
              StartsWith("beta: got -1, expected a number >= 0"));
  EXPECT_THAT(ErrorOf("mse { reduction: REDUCTION_UNSPECIFIED }"), StartsWith("reduction"));
}

}  // namespace
}  // namespace lossd::testing
