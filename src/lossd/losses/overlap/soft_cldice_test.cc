#include "lossd/losses/overlap/soft_cldice.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

// A one-voxel line is its own skeleton.
at::Tensor Line(int64_t row, int64_t length) {
  at::Tensor volume = at::zeros({1, 1, 7, 7});
  volume.select(2, row).slice(2, 0, length).fill_(1);
  return volume;
}

TEST(SoftClDiceLossTest, ComparesCentreLines) {
  const SoftClDice loss = SoftClDice{.smooth = 1e-6};
  EXPECT_NEAR(Value(loss, {.pred = Line(3, 7), .target = Line(3, 7)}), 0, 1e-4);
  EXPECT_NEAR(Value(loss, {.pred = Line(3, 7), .target = Line(5, 7)}), 1, 1e-4);
  // A line in a thick bar lies in it, and the bar's skeleton is the line.
  at::Tensor bar = at::zeros({1, 1, 7, 7});
  bar.slice(2, 2, 5).fill_(1);
  EXPECT_NEAR(Value(loss, {.pred = Line(3, 7), .target = bar}), 0, 1e-4);
  // Precision 1, sensitivity 4/7.
  EXPECT_NEAR(Value(loss, {.pred = Line(3, 4), .target = Line(3, 7)}),
              1 - 2 * (4.0 / 7) / (11.0 / 7), 1e-4);
}

TEST(SoftClDiceLossTest, SmoothsAllThreeFractions) {
  // (7 + 1) / (7 + 1) each, 2 / (2 + 1).
  EXPECT_NEAR(Value(SoftClDice(), {.pred = Line(3, 7), .target = Line(3, 7)}), 1.0 / 3, 1e-5);
}

TEST(SoftClDiceLossTest, WeightRestrictsToARegion) {
  LossInputs inputs = {.pred = Line(3, 4), .target = Line(3, 7)};
  inputs.weight = at::zeros({1, 7, 7});
  inputs.weight.slice(2, 0, 4).fill_(1);
  EXPECT_NEAR(Value(SoftClDice{.smooth = 1e-6}, inputs), 0, 1e-4);
}

TEST(SoftClDiceLossTest, ChannelsThatCount) {
  const LossInputs inputs = {.pred = at::cat({Line(1, 7), Line(3, 7), Line(5, 7)}, 1),
                             .target = at::cat({Line(1, 7), Line(2, 7), Line(5, 7)}, 1)};
  EXPECT_NEAR(Value(SoftClDice{.smooth = 1e-6}, inputs), 1, 1e-4);
  EXPECT_NEAR(Value(SoftClDice{.smooth = 1e-6, .foreground_channel = 2}, inputs), 0, 1e-4);
  EXPECT_NEAR(Value(SoftClDice{.mode = ClDiceMode::kMulti, .smooth = 1e-6}, inputs), 0.5, 1e-4);
  EXPECT_NEAR(
      Value(SoftClDice{.mode = ClDiceMode::kMulti, .smooth = 1e-6, .background_index = -2}, inputs),
      0, 1e-4);
  EXPECT_THAT(ErrorOf(SoftClDice{.foreground_channel = 3}, inputs),
              StartsWith("kwargs.foreground_channel: got 3"));
  EXPECT_THAT(ErrorOf(SoftClDice{.mode = ClDiceMode::kMulti, .background_index = -4}, inputs),
              StartsWith("kwargs.background_index: got -4"));
}

TEST(SoftClDiceLossTest, ClassIndices) {
  LossInputs inputs = {.pred = at::cat({1 - Line(3, 7), Line(3, 7)}, 1),
                       .target = Line(3, 7).to(at::kLong)};
  EXPECT_NEAR(Value(SoftClDice{.smooth = 1e-6}, inputs), 0, 1e-4);
  inputs.target = inputs.target.squeeze(1);
  EXPECT_NEAR(Value(SoftClDice{.smooth = 1e-6}, inputs), 0, 1e-4);
  inputs.target = inputs.target * 2;
  EXPECT_THAT(ErrorOf(SoftClDice(), inputs),
              StartsWith("target: got class 2, expected classes 0 to 1"));
}

TEST(SoftClDiceLossTest, GradientIsThatOfTheValue) {
  for (const auto& options :
       {SoftClDice{.num_iters = 2, .sigmoid = true},
        SoftClDice{.num_iters = 0,
                   .mode = ClDiceMode::kMulti,
                   .reduction = Reduction::kNone,
                   .softmax = true},
        SoftClDice{.foreground_channel = 0, .sigmoid = true, .clamp_probabilities = true}}) {
    LossInputs inputs = {.pred = Normal({2, 3, 4, 3, 5}, 1), .target = Coins({2, 3, 4, 3, 5}, 2)};
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    inputs.weight = Coins({2, 1, 4, 3, 5}, 3) * 2;
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    ExpectSameInEveryType(*MakeLoss(options), inputs);
  }
}

// Volumes of few numbers, hence full of ties: LibTorch's rules of who gets the gradient are kept,
// whatever the planes, rows and iterations.
TEST(SoftClDiceLossTest, EqualsTheExpressionWhereNumbersAreEqual) {
  int seed = 0;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{1, 1, 40, 5, 9},
                                            {2, 2, 3, 20, 11},
                                            {1, 2, 13, 8, 70},
                                            {1, 1, 17, 33}}) {
    for (const int num_iters : {0, 1, 3, 8, 20}) {
      LossInputs inputs = {.pred = Normal(shape, ++seed).div_(2).round_().div_(8).add_(0.5),
                           .target = Coins(shape, ++seed, 0.9)};
      inputs.pred.clamp_(0, 1);
      const auto loss = Configured(SoftClDice{.num_iters = num_iters, .mode = ClDiceMode::kMulti});
      ExpectSameInEveryType(*MakeLoss(loss), inputs);
      inputs.weight = Coins(shape, ++seed, 0.8) * 1.5;
      ExpectSameInEveryType(*MakeLoss(loss), inputs);
    }
  }
}

// The same logits are the same probabilities, or else ties would be none.
TEST(SoftClDiceLossTest, SigmoidKeepsTies) {
  // Some whose σ LibTorch rounds in two ways.
  const at::Tensor some = at::tensor({-3.265625F, -2.3046875F, -1.421875F, -1.0859375F});
  const at::Tensor logits =
      some.take(Normal({1, 2, 5, 7, 9}, 1).round_().clamp_(-2, 1).add_(2).to(at::kLong));
  at::Tensor probabilities = at::empty_like(logits);
  for (int64_t i = 0; i < logits.numel(); ++i) {
    probabilities.view(-1)[i] = 1 / (1 + std::exp(-logits.view(-1)[i].item<float>()));
  }
  const at::Tensor target = Coins({1, 2, 5, 7, 9}, 2);
  const ValueAndGradient of_logits = Compute(SoftClDice{.foreground_channel = 0, .sigmoid = true},
                                             {.pred = logits, .target = target});
  const ValueAndGradient of_probabilities =
      Compute(SoftClDice{.foreground_channel = 0}, {.pred = probabilities, .target = target});
  const at::Tensor expected = of_probabilities.gradient * probabilities * (1 - probabilities);
  EXPECT_TRUE(at::allclose(of_logits.gradient, expected, 1e-5, 1e-9));
}

TEST(SoftClDiceLossTest, MistakesAreNamed) {
  LossInputs inputs = {.pred = Line(3, 7) * 2, .target = Line(3, 7)};
  EXPECT_THAT(ErrorOf(SoftClDice(), inputs), StartsWith("pred: got values from 0 to 2"));
  EXPECT_THAT(ErrorOf(SoftClDice{.softmax = true}, inputs), StartsWith("pred: got 1 channel"));
  inputs.pred = Line(3, 7);
  inputs.target = Line(3, 7) - 0.5;
  EXPECT_THAT(ErrorOf(SoftClDice(), inputs), StartsWith("target: got values from -0.5"));
  // No activation mends a target.
  inputs.target = Line(3, 7) * 2;
  EXPECT_EQ(
      ErrorOf(SoftClDice{.sigmoid = true}, inputs),
      "target: got values from 0 to 2, expected 0 for background to 1 for the object; several "
      "classes need a channel each");
  EXPECT_GT(Value(SoftClDice{.validate_inputs = false}, inputs), 0);
  inputs.target = Line(3, 7);
  inputs.weight = at::ones({1, 2, 7, 7});
  EXPECT_THAT(ErrorOf(SoftClDice(), inputs), StartsWith("weight: got shape [1, 2, 7, 7]"));
  const LossInputs thin = {.pred = at::zeros({1, 1, 2, 7}), .target = at::zeros({1, 1, 2, 7})};
  EXPECT_THAT(ErrorOf(SoftClDice(), thin), StartsWith("pred: got shape [1, 1, 2, 7]"));
  EXPECT_THAT(ErrorOf(SoftClDice{.num_iters = -1}), StartsWith("num_iters: got -1"));
  EXPECT_THAT(ErrorOf(SoftClDice{.num_iters = 101}), StartsWith("num_iters: got 101"));
  EXPECT_THAT(ErrorOf(SoftClDice{.smooth = 0}), StartsWith("smooth: got 0"));
  EXPECT_THAT(ErrorOf(SoftClDice{.validation_tolerance = -1}), StartsWith("validation_tolerance"));
}

}  // namespace
}  // namespace lossd::testing
