#include "lossd/losses/pointwise/focal.h"

#include <gmock/gmock.h>

#include <cmath>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

const double kLog2 = std::log(2.0);

LossInputs Undecided() {
  return {.pred = at::zeros({1, 2, 1, 2}), .target = Floats({1, 0, 0, 1}, {1, 2, 1, 2})};
}

TEST(FocalLossTest, Values) {
  const LossInputs inputs = Undecided();
  EXPECT_NEAR(Value(Focal(), inputs), kLog2 / 4, 1e-6);
  EXPECT_NEAR(Value(Focal{.gamma = 0}, inputs), kLog2, 1e-6);
  EXPECT_NEAR(Value(Focal{.gamma = 0, .weight = {1, 3}}, inputs), 2 * kLog2, 1e-6);
  EXPECT_NEAR(Value(Focal{.gamma = 0, .alpha = 0.25}, inputs), kLog2 / 2, 1e-6);
  // Means over space are added.
  EXPECT_NEAR(Value(Focal{.gamma = 0, .reduction = Reduction::kSum}, inputs), 2 * kLog2, 1e-6);
  EXPECT_NEAR(Value(Focal{.include_background = false, .gamma = 0}, inputs), kLog2, 1e-6);
}

TEST(FocalLossTest, SoftmaxOfExclusiveClasses) {
  const LossInputs inputs = {.pred = at::zeros({1, 2, 1, 2}),
                             .target = at::tensor({0, 1}).view({1, 1, 1, 2})};
  // Only the target's class counts, one of two.
  EXPECT_NEAR(Value(Focal{.to_onehot_y = true, .use_softmax = true}, inputs), kLog2 / 8, 1e-6);
  // 1 − α for class 0, α for class 1.
  EXPECT_NEAR(Value(Focal{.to_onehot_y = true,
                          .gamma = 0,
                          .alpha = 0.2,
                          .reduction = Reduction::kSum,
                          .use_softmax = true},
                    inputs),
              0.8 * kLog2 / 2 + 0.2 * kLog2 / 2, 1e-6);
}

TEST(FocalLossTest, GradientIsThatOfTheValue) {
  for (const auto& options :
       {Focal(), Focal{.gamma = 0.5, .alpha = 0.3}, Focal{.alpha = 0.3, .use_softmax = true},
        Focal{.weight = {1, 2, 3}, .reduction = Reduction::kSum},
        Focal{.include_background = false, .reduction = Reduction::kNone}}) {
    const LossInputs inputs = {.pred = Normal({2, 3, 2, 2, 3}, 1),
                               .target = Coins({2, 3, 2, 2, 3}, 2)};
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    ExpectSameInEveryType(*MakeLoss(options), inputs);
  }
}

TEST(FocalLossTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(Focal{.alpha = -0.5}), StartsWith("alpha: got -0.5"));
  EXPECT_THAT(ErrorOf(Focal{.weight = {-0.5}}), StartsWith("weight: got -0.5"));
  EXPECT_THAT(ErrorOf(Focal{.gamma = std::nan("")}), StartsWith("gamma"));
  EXPECT_THAT(ErrorOf(Focal{.weight = {1, 2, 3}}, Undecided()),
              StartsWith("kwargs.weight: got 3 values"));
}

}  // namespace
}  // namespace lossd::testing
