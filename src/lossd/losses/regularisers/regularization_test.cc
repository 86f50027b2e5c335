#include <gmock/gmock.h>

#include "lossd/losses/regularisers/binary_regularization.h"
#include "lossd/losses/regularisers/non_overlap_regularization.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

TEST(BinaryRegularizationTest, Values) {
  LossInputs inputs = {.pred = Floats({0.25, 1, 0.5, 0.495F}, {1, 1, 2, 2})};
  // 1/¼, 1/½, and twice 1/0.01.
  EXPECT_NEAR(Value(BinaryRegularization{.apply_sigmoid = false}, inputs), 206.0 / 4, 1e-4);
  EXPECT_NEAR(Value(BinaryRegularization{.min_threshold = 0.5, .apply_sigmoid = false}, inputs), 2,
              1e-5);
  inputs.weight = Floats({1, 0, 0, 0}, {1, 1, 2, 2});
  EXPECT_NEAR(Value(BinaryRegularization{.apply_sigmoid = false}, inputs), 1, 1e-5);
  inputs.weight.reset();
  inputs.pred.zero_();
  EXPECT_NEAR(Value(BinaryRegularization(), inputs), 100, 1e-3);
}

TEST(BinaryRegularizationTest, GradientIsThatOfTheValue) {
  const LossInputs inputs = {.pred = Normal({2, 2, 3, 2, 3}, 1),
                             .weight = Coins({2, 1, 3, 2, 3}, 2)};
  const auto loss = MakeLoss(BinaryRegularization{.min_threshold = 0.1});
  ExpectGradientOfValue(*loss, inputs);
  ExpectSameInEveryType(*loss, inputs);
}

TEST(BinaryRegularizationTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(BinaryRegularization{.min_threshold = 0}), StartsWith("min_threshold"));
  EXPECT_THAT(ErrorOf(BinaryRegularization(),
                      {.pred = at::zeros({1, 1, 2, 2}), .weight = at::zeros({1, 1, 2, 3})}),
              StartsWith("weight: got shape"));
}

TEST(NonOverlapRegularizationTest, Values) {
  EXPECT_NEAR(Value(NonOverlapRegularization(), {.pred = at::zeros({1, 2, 2, 2})}), 0.25, 1e-6);
  EXPECT_NEAR(Value(NonOverlapRegularization(), {.pred = at::zeros({1, 3, 2, 2})}), 0.125, 1e-6);
  EXPECT_NEAR(
      Value(NonOverlapRegularization{.cleft_masked = false}, {.pred = at::zeros({1, 3, 2, 2})}),
      0.25, 1e-6);
}

TEST(NonOverlapRegularizationTest, CleftIsConstant) {
  const at::Tensor pred = Normal({2, 4, 2, 3, 3}, 1);
  const at::Tensor gradient = Compute(NonOverlapRegularization(), {.pred = pred}).gradient;
  EXPECT_TRUE(gradient.narrow(1, 2, 2).eq(0).all().item<bool>());
  EXPECT_TRUE(gradient.narrow(1, 0, 2).gt(0).all().item<bool>());
  ExpectGradientOfValue(*MakeLoss(NonOverlapRegularization{.cleft_masked = false}), {.pred = pred});
  ExpectSameInEveryType(*MakeLoss(NonOverlapRegularization()), {.pred = pred});
}

TEST(NonOverlapRegularizationTest, NeedsTwoChannels) {
  EXPECT_THAT(ErrorOf(NonOverlapRegularization(), {.pred = at::zeros({1, 1, 2, 2})}),
              StartsWith("pred: got 1 channel, expected at least 2"));
}

}  // namespace
}  // namespace lossd::testing
