#include "lossd/compute/gradient_sum.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

namespace lossd {
namespace {

class GradientSumTest : public testing::Test {
 protected:
  TaskPool pool{2};
};

TEST_F(GradientSumTest, IsZeroWithoutTerms) {
  const at::Tensor prediction = at::rand({2, 3, 4, 4}).to(at::kBFloat16);
  const at::Tensor gradient =
      GradientSum(prediction, false, prediction.scalar_type()).Finish(nullptr, pool);
  EXPECT_EQ(gradient.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(gradient.equal(at::zeros_like(prediction)));
}

TEST_F(GradientSumTest, AddsToTheChannelsOfEachTerm) {
  const at::Tensor prediction = at::rand({2, 3, 4, 4});
  const at::Tensor all = at::rand({2, 3, 4, 4});
  const at::Tensor last = at::rand({2, 1, 4, 4});
  for (const bool whole_first : {true, false}) {
    GradientSum sum(prediction, true, prediction.scalar_type());
    if (whole_first) sum.Add({0, 3}, all.clone(), 2, pool);
    sum.Add({2, 3}, last, -0.5, pool);
    if (!whole_first) sum.Add({0, 3}, all.clone(), 2, pool);
    at::Tensor expected = all * 2;
    expected.narrow(1, 2, 1).sub_(last, 0.5);
    EXPECT_TRUE(at::allclose(sum.Finish(nullptr, pool), expected));
  }
}

TEST_F(GradientSumTest, TakesOverOnlyWhatNobodyElseHolds) {
  const at::Tensor prediction = at::rand({1, 1, 4, 4});
  const at::Tensor shared = at::ones({1, 1, 4, 4});
  GradientSum sum(prediction, false, prediction.scalar_type());
  sum.Add({0, 1}, shared, 3, pool);
  EXPECT_TRUE(shared.equal(at::ones_like(shared)));
  at::Tensor owned = at::ones({1, 1, 4, 4});
  const void* memory = owned.data_ptr();
  GradientSum other(prediction, false, prediction.scalar_type());
  other.Add({0, 1}, std::move(owned), 3, pool);
  const at::Tensor gradient = other.Finish(nullptr, pool);
  EXPECT_EQ(gradient.data_ptr(), memory);
  EXPECT_TRUE(gradient.equal(shared * 3));
}

TEST_F(GradientSumTest, AcceptsGradientsThatAreExpanded) {
  GradientSum sum(at::rand({1, 2, 3, 3}), true, at::kFloat);
  sum.Add({0, 2}, at::ones({1}).expand({1, 2, 3, 3}), 0.25, pool);
  sum.Add({0, 2}, at::ones({1}).expand({1, 2, 3, 3}), 0.25, pool);
  EXPECT_TRUE(sum.Finish(nullptr, pool).equal(at::full({1, 2, 3, 3}, 0.5)));
}

TEST_F(GradientSumTest, SumsHalfTypesInFloat32WhereTermsOverlap) {
  const at::Tensor prediction = at::zeros({1, 1, 2, 2}, at::kHalf);
  GradientSum sum(prediction, true, prediction.scalar_type());
  // 2048 + 1 is not a half, 2048 + 1 + 1 is.
  sum.Add({0, 1}, at::full({1, 1, 2, 2}, 2048.F), 1, pool);
  sum.Add({0, 1}, at::ones({1, 1, 2, 2}), 1, pool);
  sum.Add({0, 1}, at::ones({1, 1, 2, 2}), 1, pool);
  EXPECT_TRUE(sum.Finish(nullptr, pool).equal(at::full_like(prediction, 2050)));
}

TEST_F(GradientSumTest, HalfTypesWithoutOverlapRoundOnce) {
  const at::Tensor prediction = at::zeros({1, 2, 2, 2}, at::kHalf);
  GradientSum sum(prediction, false, prediction.scalar_type());
  sum.Add({0, 1}, at::full({1, 1, 2, 2}, 0.1F), 3, pool);
  const at::Tensor gradient = sum.Finish(nullptr, pool);
  EXPECT_TRUE(gradient[0][0].equal(at::full({2, 2}, 0.1F).mul(3).to(at::kHalf)));
  EXPECT_TRUE(gradient[0][1].equal(at::zeros({2, 2}, at::kHalf)));
}

TEST_F(GradientSumTest, OfHalfTypesMayBeFloat32) {
  const at::Tensor prediction = at::zeros({1, 2, 4, 4}, at::kHalf);
  for (const bool overlapping : {true, false}) {
    GradientSum sum(prediction, overlapping, at::kFloat);
    EXPECT_TRUE(sum.Add({0, 2}, at::full({1, 2, 4, 4}, 1e-9F), 1, pool));
    EXPECT_TRUE(sum.Finish(nullptr, pool).equal(at::full({1, 2, 4, 4}, 1e-9F)));
    EXPECT_EQ(GradientSum(prediction, overlapping, at::kFloat).Finish(nullptr, pool).scalar_type(),
              at::kFloat);
  }
}

TEST_F(GradientSumTest, NoticesWhatHalfPrecisionCannotHold) {
  const at::Tensor prediction = at::zeros({1, 2, 4, 4}, at::kHalf);
  GradientSum sum(prediction, false, at::kHalf);
  EXPECT_FALSE(sum.Add({0, 1}, at::full({1, 1, 4, 4}, 1000.F), 1000, pool));
}

TEST_F(GradientSumTest, SaysWhetherAllIsFinite) {
  for (const at::ScalarType type : {at::kFloat, at::kHalf}) {
    for (const float wrong : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
      const at::Tensor prediction = at::zeros({2, 3, 70, 70}, type);
      at::Tensor gradient = at::rand({2, 3, 70, 70});
      gradient[1][2][69][69] = wrong;
      EXPECT_FALSE(GradientSum(prediction, true, prediction.scalar_type())
                       .Add({0, 3}, gradient.clone(), 1, pool));
      EXPECT_FALSE(GradientSum(prediction, false, prediction.scalar_type())
                       .Add({0, 3}, gradient.clone(), 1, pool));
      GradientSum sum(prediction, false, prediction.scalar_type());
      EXPECT_TRUE(sum.Add({0, 2}, gradient.narrow(1, 0, 2), 1, pool));
      EXPECT_FALSE(sum.Add({2, 3}, gradient.narrow(1, 2, 1), 1, pool));
    }
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
