#include "lossd/compute/balancing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace lossd {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pair;

TEST(BalancingTest, WithoutAStrategyTheTotalIsTheSum) {
  const Balance balance = BalanceTerms(BalancingStrategy::kNone, {5, 6});
  EXPECT_THAT(balance.weights, ElementsAre(1, 1));
  EXPECT_THAT(balance.factors, ElementsAre(1, 1));
  EXPECT_EQ(balance.offset, 0);
}

TEST(BalancingTest, UncertaintyWeighsByTheVariance) {
  const Balance balance = BalanceTerms(BalancingStrategy::kUncertainty, {0, std::log(4.0)});
  EXPECT_THAT(balance.weights, ElementsAre(1, DoubleNear(0.25, 1e-12)));
  EXPECT_THAT(balance.factors, ElementsAre(0.5, DoubleNear(0.125, 1e-12)));
  EXPECT_DOUBLE_EQ(balance.offset, 0.5 * std::log(4.0));
}

TEST(BalancingTest, LogVarGradientIsTheTotalsDerivative) {
  const double loss = 1.7;
  const auto total = [&](double s) {
    const Balance balance = BalanceTerms(BalancingStrategy::kUncertainty, {s});
    return balance.factors[0] * loss + balance.offset;
  };
  for (const double s : {-1.0, 0.0, 0.8}) {
    const double step = 1e-6;
    const Balance balance = BalanceTerms(BalancingStrategy::kUncertainty, {s});
    EXPECT_NEAR(LogVarGradient(balance.factors[0], loss),
                (total(s + step) - total(s - step)) / (2 * step), 1e-8);
  }
}

TEST(BalancingTest, GradNormWeightsArePositiveAndSumToTheirNumber) {
  const Balance balance = BalanceTerms(BalancingStrategy::kGradNorm, {1, 3, -2});
  const double scale = 3 / (4 + 1e-6);
  EXPECT_THAT(balance.weights, ElementsAre(DoubleEq(scale), DoubleEq(3 * scale), 0));
  EXPECT_EQ(balance.factors, balance.weights);
  EXPECT_THAT(BalanceTerms(BalancingStrategy::kGradNorm, {0, -1}).weights, ElementsAre(0, 0));
}

TEST(BalancingTest, LogsTheWeightsUnderTheStrategysName) {
  const std::vector<std::string> names = {"term_0", "term_2"};
  Balance balance{.weights = {1, 2}, .factors = {0.5, 1}, .offset = 3};
  EXPECT_THAT(BalancingLogs(BalancingStrategy::kUncertainty, "val", names, balance),
              ElementsAre(Pair("val_loss_uncertainty/term_0_weight", 1),
                          Pair("val_loss_uncertainty/term_2_weight", 2),
                          Pair("val_loss_uncertainty/reg", 3)));
  EXPECT_THAT(BalancingLogs(BalancingStrategy::kGradNorm, "train", names, balance),
              ElementsAre(Pair("train_loss_gradnorm/term_0_weight", 1),
                          Pair("train_loss_gradnorm/term_2_weight", 2)));
}

}  // namespace
}  // namespace lossd
