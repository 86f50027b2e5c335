#include <gmock/gmock.h>

#include <cmath>
#include <numbers>
#include <string>

#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/losses/pointwise/per_channel_bce.h"
#include "lossd/losses/pointwise/weighted_bce.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr double kLog2 = std::numbers::ln2;

// Logits 0 and targets 1, 0, 0, 0 in the first channel, all 0 in the second.
LossInputs UndecidedChannels() {
  return {.pred = at::zeros({1, 2, 2, 2}),
          .target = Floats({1, 0, 0, 0, 0, 0, 0, 0}, {1, 2, 2, 2})};
}

TEST(BCEWithLogitsLossTest, IsBinaryCrossEntropy) {
  const LossInputs inputs = {.pred = Floats({0, 2}, {1, 1, 1, 2}),
                             .target = Floats({1, 0}, {1, 1, 1, 2})};
  const double of_wrong = std::log1p(std::exp(2.0));
  EXPECT_NEAR(Value(BCEWithLogits(), inputs), (kLog2 + of_wrong) / 2, 1e-6);
  EXPECT_NEAR(Value(BCEWithLogits{.reduction = Reduction::kSum}, inputs), kLog2 + of_wrong, 1e-6);
  EXPECT_NEAR(Value(BCEWithLogits{.size_average = false, .reduce = true}, inputs), kLog2 + of_wrong,
              1e-6);
  EXPECT_NEAR(Value(BCEWithLogits{.weight = {2}, .pos_weight = {3}}, inputs),
              (6 * kLog2 + 2 * of_wrong) / 2, 1e-6);
  EXPECT_NEAR(Value(BCEWithLogits{.weight = {1, 0}}, inputs), kLog2 / 2, 1e-6);
  EXPECT_EQ(Compute(BCEWithLogits{.reduction = Reduction::kNone}, inputs).value.sizes(),
            inputs.pred.sizes());
}

TEST(BCEWithLogitsLossTest, RefusesListsThatDoNotBroadcast) {
  EXPECT_THAT(ErrorOf(BCEWithLogits{.weight = {1, 2, 3}}, UndecidedChannels()),
              StartsWith("kwargs.weight: got 3 values"));
}

TEST(WeightedBCEWithLogitsLossTest, MeanIsOverWeightedElements) {
  LossInputs inputs = UndecidedChannels();
  inputs.weight = Floats({3, 0, 0, 1}, {1, 1, 2, 2});
  EXPECT_NEAR(Value(WeightedBCE(), inputs), 2 * kLog2, 1e-6);
  EXPECT_NEAR(Value(WeightedBCE{.reduction = Reduction::kSum}, inputs), 8 * kLog2, 1e-5);
  inputs.weight = at::zeros({});
  const ValueAndGradient nothing = Compute(WeightedBCE(), inputs);
  EXPECT_EQ(nothing.value.item<double>(), 0);
  EXPECT_TRUE(nothing.gradient.eq(0).all().item<bool>());
}

TEST(WeightedBCEWithLogitsLossTest, PosWeightOfTheCallOverridesTheOption) {
  LossInputs inputs = UndecidedChannels();
  EXPECT_NEAR(Value(WeightedBCE{.pos_weight = 9}, inputs), 2 * kLog2, 1e-6);
  inputs.pos_weight = 17;
  EXPECT_NEAR(Value(WeightedBCE{.pos_weight = 9}, inputs), 3 * kLog2, 1e-6);
  inputs.pos_weight = 0;
  EXPECT_THAT(ErrorOf(WeightedBCE(), inputs), StartsWith("pos_weight: got 0"));
  EXPECT_THAT(ErrorOf(WeightedBCE{.pos_weight = -1}), StartsWith("pos_weight: got -1"));
  EXPECT_THAT(ErrorOf(WeightedBCE{.pos_weight = std::nan("")}), StartsWith("pos_weight"));
}

TEST(PerChannelBCEWithLogitsLossTest, BalancesEachChannel) {
  const LossInputs inputs = UndecidedChannels();
  // Three negatives for the positive of channel 0; no positive in channel 1.
  EXPECT_NEAR(Value(PerChannelBCE(), inputs), 2.5 * kLog2, 1e-6);
  EXPECT_NEAR(Value(PerChannelBCE{.max_pos_weight = 2}, inputs), 2.25 * kLog2, 1e-6);
  EXPECT_NEAR(Value(PerChannelBCE{.auto_pos_weight = false}, inputs), 2 * kLog2, 1e-6);
  EXPECT_NEAR(Value(PerChannelBCE{.reduction = Reduction::kSum}, inputs), 10 * kLog2, 1e-5);
  EXPECT_EQ(Compute(PerChannelBCE{.reduction = Reduction::kNone}, inputs).value.sizes(),
            at::IntArrayRef({1, 1, 2, 2}));
}

TEST(PerChannelBCEWithLogitsLossTest, CountsOnlyWhatIsWeighted) {
  LossInputs inputs = UndecidedChannels();
  // One negative for the positive of channel 0.
  inputs.weight = Floats({0.5, 0, 0, 1}, {1, 1, 2, 2});
  EXPECT_NEAR(Value(PerChannelBCE(), inputs), 0.75 * kLog2 + 0.75 * kLog2, 1e-6);
}

TEST(PerChannelBCEWithLogitsLossTest, CountsOverTheBatch) {
  const LossInputs inputs = {.pred = at::zeros({2, 1, 1, 2}),
                             .target = Floats({1, 0, 0, 0}, {2, 1, 1, 2})};
  EXPECT_NEAR(Value(PerChannelBCE(), inputs), 1.5 * kLog2, 1e-6);
}

class BceFamilyTest : public ::testing::TestWithParam<AnyLoss> {};

TEST_P(BceFamilyTest, GradientIsThatOfTheValue) {
  const auto loss = MakeLoss(GetParam());
  LossInputs inputs = {.pred = Normal({2, 2, 2, 3, 2}, 1), .target = Coins({2, 2, 2, 3, 2}, 2)};
  ExpectGradientOfValue(*loss, inputs);
  inputs.weight = Coins({2, 1, 2, 3, 2}, 3) * 1.5;
  ExpectGradientOfValue(*loss, inputs);
}

TEST_P(BceFamilyTest, TypesAgree) {
  const auto loss = MakeLoss(GetParam());
  LossInputs inputs = {.pred = Normal({2, 3, 9, 11, 50}, 4, 8),
                       .target = Coins({2, 3, 9, 11, 50}, 5)};
  ExpectSameInEveryType(*loss, inputs);
  inputs.weight = Coins({2, 3, 9, 11, 50}, 6);
  ExpectSameInEveryType(*loss, inputs);
}

TEST_P(BceFamilyTest, WrongInputsAreNamed) {
  LossInputs inputs = UndecidedChannels();
  inputs.target = at::zeros({1, 2, 2, 3});
  EXPECT_THAT(
      ErrorOf(GetParam(), inputs),
      StartsWith("target: got shape [1, 2, 2, 3], expected the prediction's, [1, 2, 2, 2]"));
  inputs.target.reset();
  EXPECT_THAT(ErrorOf(GetParam(), inputs), StartsWith("target: got nothing"));
  inputs = UndecidedChannels();
  inputs.weight = at::zeros({1, 3, 2, 2});
  EXPECT_THAT(ErrorOf(GetParam(), inputs), StartsWith("weight: got shape [1, 3, 2, 2]"));
  inputs = UndecidedChannels();
  inputs.pred = at::zeros({2, 2});
  EXPECT_THAT(ErrorOf(GetParam(), inputs), HasSubstr("[B, C, Z, Y, X]"));
  inputs.pred = at::zeros({1, 2, 2, 2}, at::kLong);
  EXPECT_THAT(ErrorOf(GetParam(), inputs), StartsWith("pred: got elements of type int64"));
  inputs.pred.reset();
  EXPECT_THAT(ErrorOf(GetParam(), inputs), StartsWith("pred: got nothing"));
}

INSTANTIATE_TEST_SUITE_P(All, BceFamilyTest,
                         ::testing::Values(AnyLoss(BCEWithLogits{.pos_weight = {2}}),
                                           AnyLoss(WeightedBCE{.pos_weight = 3}),
                                           AnyLoss(WeightedBCE{.reduction = Reduction::kSum}),
                                           AnyLoss(WeightedBCE{.reduction = Reduction::kNone}),
                                           AnyLoss(PerChannelBCE()),
                                           AnyLoss(PerChannelBCE{.auto_pos_weight = false,
                                                                 .reduction = Reduction::kSum}),
                                           AnyLoss(PerChannelBCE{.reduction = Reduction::kNone})));

TEST(BceOptionsTest, WrongOptionsAreNamed) {
  EXPECT_THAT(ErrorOf(PerChannelBCE{.max_pos_weight = 0}),
              StartsWith("max_pos_weight: got 0, expected a number > 0"));
  EXPECT_THAT(ErrorOf(BCEWithLogits{.weight = {INFINITY}}), StartsWith("weight: got inf"));
}

}  // namespace
}  // namespace lossd::testing
