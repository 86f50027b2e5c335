#include "lossd/losses/malis_loss.h"

#include <gmock/gmock.h>

#include <cmath>
#include <string>
#include <vector>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

// Voxels a–b|c–d of two objects in a row, an edge (v, v + 1) each; the last leads outside.
LossInputs TwoObjects() {
  return {.pred = Floats({0.8F, 0.6F, 0.9F, 0.3F}, {1, 1, 1, 1, 4}),
          .target = Floats({1, 0, 1, 0}, {1, 1, 1, 1, 4})};
}

TEST(MalisLossTest, WeighsWhatDecides) {
  // The one negative edge separates all pairs: weight 1. Each positive edge joins one pair of two:
  // weight ½.
  const double expected = 0.36 + 0.5 * 0.04 + 0.5 * 0.01;
  EXPECT_NEAR(Value(Malis{.nhood = {{0, 0, 1}}, .sigmoid = false}, TwoObjects()), expected, 1e-6);
  EXPECT_NEAR(Value(Malis{.nhood = {{0, 0, 1}}, .reduction = Reduction::kMean, .sigmoid = false},
                    TwoObjects()),
              expected / 4, 1e-6);
  const ValueAndGradient map = Compute(
      Malis{.nhood = {{0, 0, 1}}, .reduction = Reduction::kNone, .sigmoid = false}, TwoObjects());
  EXPECT_TRUE(at::allclose(map.value.flatten(), at::tensor({0.02F, 0.36F, 0.005F, 0.0F})));
  EXPECT_TRUE(at::allclose(map.gradient.flatten(), at::tensor({-0.2F, 1.2F, -0.1F, 0.0F})));
}

TEST(MalisLossTest, GradientGoesThroughTheSigmoid) {
  LossInputs inputs = TwoObjects();
  const at::Tensor affinity = inputs.pred;
  inputs.pred = affinity.logit();
  const ValueAndGradient result = Compute(Malis{.nhood = {{0, 0, 1}}}, inputs);
  EXPECT_NEAR(result.value.item<double>(), 0.385, 1e-5);
  const at::Tensor of_affinity = at::tensor({-0.2F, 1.2F, -0.1F, 0.0F});
  EXPECT_TRUE(
      at::allclose(result.gradient.flatten(), of_affinity * (affinity * (1 - affinity)).flatten()));
}

TEST(MalisLossTest, GradientHoldsTheWeightsConstant) {
  const LossInputs inputs = {.pred = Normal({2, 3, 6, 7, 8}, 1),
                             .target = Coins({2, 3, 6, 7, 8}, 2, 0.7)};
  const at::Tensor affinity = inputs.pred.sigmoid();
  const at::Tensor error = affinity - inputs.target;
  const at::Tensor weights =
      Compute(Malis{.reduction = Reduction::kNone}, inputs).value / error.square();
  EXPECT_GT(weights.count_nonzero().item<int64_t>(), 100);
  EXPECT_TRUE(at::allclose(Compute(Malis(), inputs).gradient,
                           2 * weights * error * affinity * (1 - affinity), 1e-4, 1e-9));
}

TEST(MalisLossTest, UnknownEdgesHaveNoWeight) {
  LossInputs inputs = TwoObjects();
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{1, 1, 1, 1, 4}, {1, 1, 1, 4}, {4}}) {
    inputs.weight = Floats({1, 0.5, 1, 1}, shape);
    EXPECT_NEAR(Value(Malis{.nhood = {{0, 0, 1}}, .sigmoid = false}, inputs), 0.025, 1e-6);
  }
}

TEST(MalisLossTest, SegmentationTakesThePlaceOfComponents) {
  LossInputs inputs = TwoObjects();
  // b and c are one object: the edge between them decides nothing in the negative pass.
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{1, 1, 4}, {1, 1, 1, 4}, {1, 1, 1, 1, 4}}) {
    inputs.gt_seg = at::tensor({0L, -7L, -7L, 0L}).view(shape);
    EXPECT_NEAR(Value(Malis{.nhood = {{0, 0, 1}}, .sigmoid = false}, inputs), 0, 1e-6);
  }
  inputs.gt_seg = at::tensor({5, 5, 5, 9}, at::kShort).view({1, 1, 4});
  // Positive: a–b joins one pair, c–d none (labels 5 and 9). Negative: b–c separates (5, 5 | 5, 9):
  // two pairs differ.
  EXPECT_NEAR(Value(Malis{.nhood = {{0, 0, 1}}, .sigmoid = false}, inputs), 0.36 + 0.04, 1e-6);
}

TEST(MalisLossTest, CropIsAllThereIs) {
  LossInputs inputs = TwoObjects();
  inputs.crop_origin = {0, 0, 2};
  const ValueAndGradient result = Compute(Malis{.nhood = {{0, 0, 1}},
                                                .reduction = Reduction::kMean,
                                                .sigmoid = false,
                                                .malis_crop_size = {1, 1, 2}},
                                          inputs);
  // Only c–d is left, of two elements.
  EXPECT_NEAR(result.value.item<double>(), 0.01 / 2, 1e-6);
  EXPECT_TRUE(at::allclose(result.gradient.flatten(), at::tensor({0.0F, 0.0F, -0.1F, 0.0F})));
  EXPECT_EQ(Malis{.malis_crop_size = {3}}.CropSize(), (std::array<int64_t, 3>{3, 3, 3}));
  EXPECT_EQ(Malis().CropSize(), std::nullopt);
}

TEST(MalisLossTest, CropEqualsTheLossOfWhatItShows) {
  LossInputs inputs = {.pred = Normal({2, 3, 6, 7, 8}, 1),
                       .target = Coins({2, 3, 6, 7, 8}, 2, 0.7),
                       .weight = Coins({2, 1, 6, 1, 8}, 3, 0.8),
                       .gt_seg = Coins({2, 6, 7, 8}, 4).to(at::kInt),
                       .crop_origin = std::array<int64_t, 3>{1, 2, 3}};
  const ValueAndGradient cropped = Compute(Malis{.malis_crop_size = {4, 3, 5}}, inputs);
  const auto crop = [](const at::Tensor& tensor) {
    const int64_t z = tensor.dim() - 3;
    at::Tensor part = tensor.narrow(z, 1, 4);
    if (part.size(z + 1) > 1) part = part.narrow(z + 1, 2, 3);
    return part.narrow(z + 2, 3, 5);
  };
  const ValueAndGradient whole = Compute(Malis(), {.pred = crop(inputs.pred),
                                                   .target = crop(inputs.target),
                                                   .weight = crop(inputs.weight),
                                                   .gt_seg = crop(inputs.gt_seg)});
  EXPECT_EQ(cropped.value.item<float>(), whole.value.item<float>());
  EXPECT_TRUE(crop(cropped.gradient).equal(whole.gradient));
  EXPECT_EQ(cropped.gradient.count_nonzero().item<int64_t>(),
            whole.gradient.count_nonzero().item<int64_t>());
}

TEST(MalisLossTest, HalfTypesAreWidened) {
  LossInputs inputs = {.pred = Normal({2, 3, 6, 7, 8}, 1).to(at::kHalf),
                       .target = Coins({2, 3, 6, 7, 8}, 2, 0.7).to(at::kBool)};
  const ValueAndGradient half = Compute(Malis(), inputs);
  inputs.pred = inputs.pred.to(at::kFloat);
  const ValueAndGradient wide = Compute(Malis(), inputs);
  EXPECT_TRUE(half.value.equal(wide.value));
  EXPECT_TRUE(half.gradient.equal(wide.gradient));
}

TEST(MalisLossTest, NotANumberIsTheValue) {
  LossInputs inputs = TwoObjects();
  inputs.pred.view(-1)[1] = NAN;
  EXPECT_TRUE(std::isnan(Value(Malis{.nhood = {{0, 0, 1}}, .sigmoid = false}, inputs)));
}

TEST(MalisLossTest, WrongInputsAreNamed) {
  const Malis loss = Malis{.nhood = {{0, 0, 1}}, .sigmoid = false};
  LossInputs inputs = TwoObjects();
  inputs.pred = at::zeros({1, 2, 1, 1, 4});
  EXPECT_THAT(ErrorOf(loss, inputs), StartsWith("pred: got shape [1, 2, 1, 1, 4]"));
  inputs.pred = at::zeros({1, 1, 1, 4});
  EXPECT_THAT(ErrorOf(loss, inputs), StartsWith("pred: got shape [1, 1, 1, 4]"));
  inputs = TwoObjects();
  inputs.target = at::zeros({1, 1, 1, 1, 5});
  EXPECT_THAT(ErrorOf(loss, inputs), StartsWith("target: got shape"));
  inputs = TwoObjects();
  inputs.weight = at::ones({2});
  EXPECT_THAT(ErrorOf(loss, inputs), StartsWith("weight: got shape"));
  inputs = TwoObjects();
  inputs.gt_seg = at::ones({1, 1, 5}, at::kLong);
  EXPECT_THAT(ErrorOf(loss, inputs), StartsWith("gt_seg.shape: got [1, 1, 5]"));
  inputs.gt_seg = at::ones({1, 1, 4});
  EXPECT_THAT(ErrorOf(loss, inputs), StartsWith("gt_seg.dtype: got float32"));
}

TEST(MalisLossTest, WrongCropsAreNamed) {
  LossInputs inputs = TwoObjects();
  EXPECT_THAT(
      ErrorOf(Malis{.nhood = {{0, 0, 1}}, .sigmoid = false, .malis_crop_size = {1, 1, 5}}, inputs),
      StartsWith("kwargs.malis_crop_size: got [1, 1, 5]"));
  const Malis crop = Malis{.nhood = {{0, 0, 1}}, .sigmoid = false, .malis_crop_size = {1, 1, 2}};
  EXPECT_THAT(ErrorOf(crop, inputs), StartsWith("crop_origin: got nothing"));
  inputs.crop_origin = {0, 0, 3};
  EXPECT_THAT(ErrorOf(crop, inputs), StartsWith("crop_origin: got [0, 0, 3]"));
  inputs.crop_origin = {0, 0, -1};
  EXPECT_THAT(ErrorOf(crop, inputs), StartsWith("crop_origin: got [0, 0, -1]"));
}

TEST(MalisLossTest, WrongOptionsAreNamed) {
  EXPECT_THAT(ErrorOf(Malis{.malis_crop_size = {1, 2}}), StartsWith("malis_crop_size"));
  EXPECT_THAT(ErrorOf(Malis{.malis_crop_size = {0}}), StartsWith("malis_crop_size: got 0"));
  EXPECT_THAT(ErrorOf(Malis{.malis_num_workers = 0}), StartsWith("malis_num_workers"));
}

}  // namespace
}  // namespace lossd::testing
