#include "lossd/compute/gradient_sum.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

#include "lossd/sweep/gradient_writer.h"

namespace lossd {
namespace {

class GradientSumTest : public testing::Test {
 protected:
  // As a term would write it.
  void Put(GradientSum& sum, const ChannelRange& channels, const at::Tensor& gradient,
           double factor) {
    WriteGradient(gradient, sum.Into(channels, factor), pool);
  }

  TaskPool pool{2};
};

TEST_F(GradientSumTest, IsZeroWithoutTerms) {
  const at::Tensor prediction = at::rand({2, 3, 4, 4}).to(at::kBFloat16);
  const at::Tensor gradient =
      GradientSum(prediction, false, prediction.scalar_type()).Finish(nullptr, pool).gradient;
  EXPECT_EQ(gradient.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(gradient.equal(at::zeros_like(prediction)));
}

TEST_F(GradientSumTest, AddsToTheChannelsOfEachTerm) {
  const at::Tensor prediction = at::rand({2, 4, 4, 4});
  const at::Tensor three = at::rand({2, 3, 4, 4});
  const at::Tensor last = at::rand({2, 1, 4, 4});
  for (const bool three_first : {true, false}) {
    GradientSum sum(prediction, true, prediction.scalar_type());
    if (three_first) Put(sum, {0, 3}, three, 2);
    Put(sum, {2, 3}, last, -0.5);
    if (!three_first) Put(sum, {0, 3}, three, 2);
    at::Tensor expected = at::zeros({2, 4, 4, 4});
    expected.narrow(1, 0, 3).add_(three, 2);
    expected.narrow(1, 2, 1).sub_(last, 0.5);
    EXPECT_TRUE(at::allclose(sum.Finish(nullptr, pool).gradient, expected));
  }
}

TEST_F(GradientSumTest, IsWrittenInPlaceWhereNothingIsThere) {
  GradientSum sum(at::rand({1, 2, 4, 4}), false, at::kFloat);
  const GradientInto first = sum.Into({0, 1}, 3);
  const GradientInto second = sum.Into({1, 2}, 1);
  EXPECT_FALSE(first.add || second.add);
  first.into.fill_(1);
  second.into.fill_(2);
  const at::Tensor gradient = sum.Finish(nullptr, pool).gradient;
  EXPECT_EQ(gradient.data_ptr(), first.into.data_ptr());
}

TEST_F(GradientSumTest, SumsHalfTypesInFloat32WhereTermsOverlap) {
  const at::Tensor prediction = at::zeros({1, 1, 2, 2}, at::kHalf);
  GradientSum sum(prediction, true, prediction.scalar_type());
  // 2048 + 1 is not a half, 2048 + 1 + 1 is.
  Put(sum, {0, 1}, at::full({1, 1, 2, 2}, 2048.F), 1);
  Put(sum, {0, 1}, at::ones({1, 1, 2, 2}), 1);
  Put(sum, {0, 1}, at::ones({1, 1, 2, 2}), 1);
  EXPECT_TRUE(sum.Finish(nullptr, pool).gradient.equal(at::full_like(prediction, 2050)));
}

TEST_F(GradientSumTest, SaysWhetherHalfPrecisionHoldsTheSum) {
  const at::Tensor prediction = at::zeros({1, 1, 2, 2}, at::kHalf);
  for (const float summand : {30000.F, 40000.F}) {
    GradientSum sum(prediction, true, prediction.scalar_type());
    Put(sum, {0, 1}, at::full({1, 1, 2, 2}, summand), 1);
    Put(sum, {0, 1}, at::full({1, 1, 2, 2}, summand), 1);
    EXPECT_EQ(sum.Finish(nullptr, pool).fits, summand < 32760);
  }
}

TEST_F(GradientSumTest, OfHalfTypesMayBeFloat32) {
  const at::Tensor prediction = at::zeros({1, 2, 4, 4}, at::kHalf);
  for (const bool overlapping : {true, false}) {
    GradientSum sum(prediction, overlapping, at::kFloat);
    Put(sum, {0, 2}, at::full({1, 2, 4, 4}, 1e-9F), 1);
    EXPECT_TRUE(sum.Finish(nullptr, pool).gradient.equal(at::full({1, 2, 4, 4}, 1e-9F)));
    EXPECT_EQ(GradientSum(prediction, overlapping, at::kFloat)
                  .Finish(nullptr, pool)
                  .gradient.scalar_type(),
              at::kFloat);
  }
}

TEST(PredictionClampTest, IsNoneWhenNothingLiesOutside) {
  TaskPool pool(2);
  const at::Tensor prediction = torch::tensor({{{-2.F, 0.F, 2.F}}}).to(at::kHalf);
  const PredictionClamp clamp(prediction, {-2, 2}, pool);
  EXPECT_FALSE(clamp.range().has_value());
  at::Tensor gradient = at::ones({1, 1, 3});
  clamp.ZeroWhereCut(gradient, pool);
  EXPECT_TRUE(gradient.equal(at::ones({1, 1, 3})));
}

TEST(PredictionClampTest, HasNoGradientWhereItCut) {
  const float inf = std::numeric_limits<float>::infinity();
  TaskPool pool(2);
  const at::Tensor prediction = torch::tensor({{{-2.5F, -2.F, 0.F, 2.F, inf, std::nanf("")}}});
  const PredictionClamp clamp(prediction, {-2, 2}, pool);
  ASSERT_TRUE(clamp.range().has_value());
  at::Tensor gradient = at::ones({1, 1, 6});
  clamp.ZeroWhereCut(gradient, pool);
  EXPECT_TRUE(gradient.equal(torch::tensor({{{0.F, 1.F, 1.F, 1.F, 0.F, 0.F}}})));
}

}  // namespace
}  // namespace lossd
