#include "lossd/compute/class_balance.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>

namespace lossd {
namespace {

TEST(ClassBalanceTest, CountsByClassWhereTheMaskIs) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  TaskPool pool(2);
  const at::Tensor target = torch::tensor({1.F, 0.F, -2.F, 0.5F, nan, 0.F}).view({1, 1, 6});
  const ClassCounts all = CountClasses(target, {}, pool);
  EXPECT_EQ(all.foreground, 2);
  EXPECT_EQ(all.background, 3);
  const at::Tensor mask = torch::tensor({0, 1, 1, 1, 1, 0}).to(at::kBool).view({1, 1, 6});
  const ClassCounts masked = CountClasses(target, mask, pool);
  EXPECT_EQ(masked.foreground, 1);
  EXPECT_EQ(masked.background, 2);
}

TEST(ClassBalanceTest, CountsEveryChannelUnderABroadcastMask) {
  const at::Tensor target = at::ones({2, 3, 4, 4}, at::kByte);
  const at::Tensor mask = at::zeros({2, 1, 4, 4}, at::kBool);
  mask[1].fill_(true);
  TaskPool pool(2);
  EXPECT_EQ(CountClasses(target, mask, pool).foreground, 3 * 16);
  EXPECT_EQ(CountClasses(target > 0, mask, pool).background, 0);
  // A mask of more channels than the target.
  EXPECT_EQ(CountClasses(target.narrow(1, 0, 1), mask.expand({2, 3, 4, 4}), pool).foreground,
            3 * 16);
}

TEST(ClassBalanceTest, BalancedWeightsHaveMeanOneUpToTheCap) {
  const ClassWeights weights = BalancedWeights({.foreground = 30, .background = 70});
  EXPECT_DOUBLE_EQ(weights.foreground, 100.0 / 60);
  EXPECT_DOUBLE_EQ(weights.background, 100.0 / 140);
  const ClassWeights capped = BalancedWeights({.foreground = 1, .background = 999});
  EXPECT_DOUBLE_EQ(capped.foreground, 10);
  EXPECT_DOUBLE_EQ(capped.background, 1000.0 / 1998);
  EXPECT_TRUE(BalancedWeights({.foreground = 0, .background = 5}).AreOne());
  EXPECT_TRUE(BalancedWeights({.foreground = 5, .background = 0}).AreOne());
}

TEST(ClassBalanceTest, AutoPosWeightIsTheRatioUpToTheCap) {
  EXPECT_DOUBLE_EQ(AutoPosWeight({.foreground = 4, .background = 6}), 1.5);
  EXPECT_DOUBLE_EQ(AutoPosWeight({.foreground = 1, .background = 11}), 10);
  EXPECT_DOUBLE_EQ(AutoPosWeight({.foreground = 0, .background = 11}), 1);
  EXPECT_DOUBLE_EQ(AutoPosWeight({.foreground = 3, .background = 0}), 1);
}

TEST(ClassBalanceTest, AFixedWeightIsForForegroundAlone) {
  TaskPool pool(1);
  const ClassWeights weights = ClassWeightsOf({.value = 2.5}, at::ones({1, 1, 4}), {}, pool);
  EXPECT_EQ(weights.foreground, 2.5);
  EXPECT_EQ(weights.background, 1);
}

}  // namespace
}  // namespace lossd
