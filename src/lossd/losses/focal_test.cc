#include "lossd/losses/focal.h"

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
  EXPECT_NEAR(Value("focal {}", inputs), kLog2 / 4, 1e-6);
  EXPECT_NEAR(Value("focal { gamma: 0 }", inputs), kLog2, 1e-6);
  EXPECT_NEAR(Value("focal { gamma: 0 weight: [1, 3] }", inputs), 2 * kLog2, 1e-6);
  EXPECT_NEAR(Value("focal { gamma: 0 alpha: 0.25 }", inputs), kLog2 / 2, 1e-6);
  // Means over space are added.
  EXPECT_NEAR(Value("focal { gamma: 0 reduction: REDUCTION_SUM }", inputs), 2 * kLog2, 1e-6);
  EXPECT_NEAR(Value("focal { gamma: 0 include_background: false }", inputs), kLog2, 1e-6);
}

TEST(FocalLossTest, SoftmaxOfExclusiveClasses) {
  const LossInputs inputs = {.pred = at::zeros({1, 2, 1, 2}),
                             .target = at::tensor({0, 1}).view({1, 1, 1, 2})};
  // Only the target's class counts, one of two.
  EXPECT_NEAR(Value("focal { use_softmax: true to_onehot_y: true }", inputs), kLog2 / 8, 1e-6);
  // 1 − α for class 0, α for class 1.
  EXPECT_NEAR(Value("focal { use_softmax: true to_onehot_y: true alpha: 0.2 gamma: 0 "
                    "reduction: REDUCTION_SUM }",
                    inputs),
              0.8 * kLog2 / 2 + 0.2 * kLog2 / 2, 1e-6);
}

TEST(FocalLossTest, GradientIsThatOfTheValue) {
  for (const char* options :
       {"focal {}", "focal { gamma: 0.5 alpha: 0.3 }", "focal { use_softmax: true alpha: 0.3 }",
        "focal { weight: [1, 2, 3] reduction: REDUCTION_SUM }",
        "focal { include_background: false reduction: REDUCTION_NONE }"}) {
    const LossInputs inputs = {.pred = Normal({2, 3, 2, 2, 3}, 1),
                               .target = Coins({2, 3, 2, 2, 3}, 2)};
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    ExpectSameInEveryType(*MakeLoss(options), inputs);
  }
}

TEST(FocalLossTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf("focal { alpha: -0.5 }"), StartsWith("alpha: got -0.5"));
  EXPECT_THAT(ErrorOf("focal { weight: -0.5 }"), StartsWith("weight: got -0.5"));
  EXPECT_THAT(ErrorOf("focal { gamma: nan }"), StartsWith("gamma"));
  EXPECT_THAT(ErrorOf("focal { weight: [1, 2, 3] }", Undecided()),
              StartsWith("kwargs.weight: got 3 values"));
}

}  // namespace
}  // namespace lossd::testing
