#include "lossd/losses/pointwise/cross_entropy.h"

#include <gmock/gmock.h>

#include <cmath>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

// Two voxels of classes 0 and 2; the first is undecided, the second right by e⁴.
LossInputs TwoVoxels() {
  return {.pred = Floats({1, 0, 1, 0, 1, 4}, {1, 3, 1, 2}),
          .target = at::tensor({0, 2}).view({1, 1, 1, 2})};
}

const double kUndecided = std::log(3.0);
const double kRight = std::log(1 + 2 * std::exp(-4.0));

TEST(CrossEntropyLossTest, Values) {
  const LossInputs inputs = TwoVoxels();
  EXPECT_NEAR(Value(CrossEntropy(), inputs), (kUndecided + kRight) / 2, 1e-6);
  EXPECT_NEAR(Value(CrossEntropy{.reduction = Reduction::kSum}, inputs), kUndecided + kRight, 1e-6);
  EXPECT_NEAR(Value(CrossEntropy{.weight = {1, 5, 3}}, inputs), (kUndecided + 3 * kRight) / 4,
              1e-6);
  EXPECT_NEAR(Value(CrossEntropy{.ignore_index = 0}, inputs), kRight, 1e-6);
  // A third of the second voxel's smoothing goes to each class, two of them 4 behind.
  EXPECT_NEAR(Value(CrossEntropy{.ignore_index = 0, .label_smoothing = 0.3}, inputs),
              kRight + 0.3 / 3 * 2 * 4, 1e-6);
}

TEST(CrossEntropyLossTest, TargetsWithOrWithoutChannelOfAnyType) {
  LossInputs inputs = TwoVoxels();
  inputs.target = inputs.target.squeeze(1);
  EXPECT_NEAR(Value(CrossEntropy(), inputs), (kUndecided + kRight) / 2, 1e-6);
  inputs.target = inputs.target.to(at::kFloat) + 0.5;
  EXPECT_NEAR(Value(CrossEntropy(), inputs), (kUndecided + kRight) / 2, 1e-6);
  // One plane: its size must not be taken for a channel.
  inputs.pred = inputs.pred.unsqueeze(2);
  inputs.target = inputs.target.unsqueeze(1);
  EXPECT_NEAR(Value(CrossEntropy(), inputs), (kUndecided + kRight) / 2, 1e-6);
}

TEST(CrossEntropyLossTest, GradientIsThatOfTheValue) {
  const LossInputs inputs = {
      .pred = Normal({2, 3, 2, 2, 3}, 1),
      .target = (Coins({2, 1, 2, 2, 3}, 2) + Coins({2, 1, 2, 2, 3}, 3)).to(at::kLong)};
  const auto loss = MakeLoss(CrossEntropy{.weight = {1, 2, 0.5}, .label_smoothing = 0.1});
  ExpectGradientOfValue(*loss, inputs);
  ExpectSameInEveryType(*loss, inputs);
}

TEST(CrossEntropyLossTest, MistakesAreNamed) {
  LossInputs inputs = TwoVoxels();
  EXPECT_THAT(ErrorOf(CrossEntropy{.weight = {1, 2}}, inputs),
              StartsWith("kwargs.weight: got 2 values"));
  inputs.target = at::tensor({0, 3}).view({1, 1, 1, 2});
  EXPECT_THAT(ErrorOf(CrossEntropy(), inputs),
              StartsWith("target: got class 3, expected classes 0 to 2"));
  EXPECT_NEAR(Value(CrossEntropy{.ignore_index = 3}, inputs), kUndecided, 1e-6);
  inputs.target = at::zeros({1, 3, 1, 2});
  EXPECT_EQ(ErrorOf(CrossEntropy(), inputs),
            "target: got shape [1, 3, 1, 2], expected class indices, not one-hot: [1, 1, 1, 2] or "
            "[1, 1, 2]");
  EXPECT_THAT(ErrorOf(CrossEntropy{.label_smoothing = 1.1}), StartsWith("label_smoothing"));
}

}  // namespace
}  // namespace lossd::testing
