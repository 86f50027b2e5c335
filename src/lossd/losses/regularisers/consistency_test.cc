#include <gmock/gmock.h>

#include <cmath>
#include <string>

#include "lossd/losses/regularisers/contour_distance_consistency.h"
#include "lossd/losses/regularisers/foreground_contour_consistency.h"
#include "lossd/losses/regularisers/foreground_distance_consistency.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

TEST(ForegroundDistanceConsistencyTest, Values) {
  LossInputs inputs = {.pred = Floats({0, 2}, {1, 1, 1, 2}),
                       .pred2 = Floats({1, -1}, {1, 1, 1, 2})};
  const double expected = std::tanh(1.0) * (std::log(2.0) + std::log1p(std::exp(2.0)));
  EXPECT_NEAR(Value(ForegroundDistanceConsistency(), inputs), expected / 2, 1e-6);
  inputs.weight = Floats({2, 0}, {2});
  EXPECT_NEAR(Value(ForegroundDistanceConsistency(), inputs), std::tanh(1.0) * std::log(2.0), 1e-6);
}

TEST(ContourDistanceConsistencyTest, Values) {
  EXPECT_NEAR(Value(ContourDistanceConsistency(),
                    {.pred = at::zeros({1, 1, 2, 2}), .pred2 = at::full({1, 1, 2, 2}, -1.0)}),
              std::pow(std::tanh(1.0) / 2, 2), 1e-6);
}

TEST(ForegroundContourConsistencyTest, ContoursLieWhereTheForegroundChanges) {
  // A step from 0 to 1 between columns 3 and 4: edges there, widened by one; and at the border of
  // the foreground, beyond which there is none.
  at::Tensor foreground = at::full({1, 1, 8, 9}, -50.0);
  foreground.slice(3, 4, 9).fill_(50);
  at::Tensor contour = at::full({1, 1, 8, 9}, -50.0);
  contour.slice(3, 2, 9).fill_(50);
  const double value =
      Value(ForegroundContourConsistency(), {.pred = foreground, .pred2 = contour});
  // Column 6 of the inner rows 2 to 5 has no edge near: there the contour is wrong.
  EXPECT_NEAR(value, 4.0 / 72, 1e-3);
}

TEST(ForegroundContourConsistencyTest, PlanesAreIndependent) {
  const at::Tensor foreground = Normal({1, 1, 3, 6, 7}, 1);
  const at::Tensor contour = Normal({1, 1, 3, 6, 7}, 2);
  double sum = 0;
  for (int z = 0; z < 3; ++z) {
    sum += Value(ForegroundContourConsistency(),
                 {.pred = foreground.select(2, z), .pred2 = contour.select(2, z)});
  }
  EXPECT_NEAR(Value(ForegroundContourConsistency(), {.pred = foreground, .pred2 = contour}),
              sum / 3, 1e-6);
}

TEST(ForegroundContourConsistencyTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(ForegroundContourConsistency{.kernel_half_size = 2}),
              StartsWith("kernel_half_size: got 2, expected 1"));
  EXPECT_THAT(ErrorOf(ForegroundContourConsistency{.eps = 0}), StartsWith("eps: got 0"));
}

class ConsistencyTest : public ::testing::TestWithParam<AnyLoss> {};

TEST_P(ConsistencyTest, GradientsAreThoseOfTheValue) {
  LossInputs inputs = {.pred = Normal({2, 1, 2, 4, 5}, 1, 1),
                       .pred2 = Normal({2, 1, 2, 4, 5}, 2, 1)};
  ExpectGradientOfValue(*MakeLoss(GetParam()), inputs);
  inputs.weight = Coins({2, 1, 2, 4, 5}, 3);
  ExpectGradientOfValue(*MakeLoss(GetParam()), inputs);
  ExpectSameInEveryType(*MakeLoss(GetParam()), inputs);
}

TEST_P(ConsistencyTest, MistakesAreNamed) {
  LossInputs inputs = {.pred = at::zeros({1, 1, 3, 3}), .pred2 = at::zeros({1, 1, 3, 4})};
  EXPECT_THAT(ErrorOf(GetParam(), inputs), StartsWith("pred2: got shape [1, 1, 3, 4]"));
  inputs.pred2.reset();
  EXPECT_THAT(ErrorOf(GetParam(), inputs), StartsWith("pred2: got nothing"));
}

INSTANTIATE_TEST_SUITE_P(All, ConsistencyTest,
                         ::testing::Values(AnyLoss(ForegroundDistanceConsistency()),
                                           AnyLoss(ContourDistanceConsistency()),
                                           AnyLoss(ForegroundContourConsistency())));

}  // namespace
}  // namespace lossd::testing
