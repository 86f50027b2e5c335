#include "lossd/losses/pointwise/scnp.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "lossd/losses/pointwise/per_channel_bce.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

double Softplus(double x) { return std::log1p(std::exp(x)); }

TEST(ScnpLossTest, ScoresTheWorstNeighbourOfTheSameClass) {
  // Foreground 2, −1, background 3, −4, 1.
  const LossInputs inputs = {.pred = Floats({2, -1, 3, -4, 1}, {1, 1, 1, 5}),
                             .target = Floats({1, 1, 0, 0, 0}, {1, 1, 1, 5})};
  const double foreground = 2 * Softplus(1);
  const double background = 2 * Softplus(3) + Softplus(1);
  EXPECT_NEAR(Value(Scnp{.auto_pos_weight = false, .reduction = Reduction::kSum}, inputs),
              foreground + background, 1e-5);
  EXPECT_NEAR(
      Value(Scnp{.neighborhood_size = 5, .auto_pos_weight = false, .reduction = Reduction::kSum},
            inputs),
      foreground + 3 * Softplus(3), 1e-5);
  EXPECT_NEAR(
      Value(Scnp{.neighborhood_size = 1, .auto_pos_weight = false, .reduction = Reduction::kSum},
            inputs),
      Softplus(-2) + Softplus(1) + Softplus(3) + Softplus(-4) + Softplus(1), 1e-5);
  EXPECT_NEAR(Value(Scnp(), inputs), (1.5 * foreground + background) / 5, 1e-5);

  const at::Tensor gradient =
      Compute(Scnp{.auto_pos_weight = false, .reduction = Reduction::kSum}, inputs)
          .gradient.flatten();
  EXPECT_EQ(gradient[0].item<double>(), 0) << "nobody's worst neighbour";
  EXPECT_NEAR(gradient[1].item<double>(), 2 * -1 / (1 + std::exp(-1)), 1e-5);
  EXPECT_EQ(gradient[3].item<double>(), 0) << "nobody's worst neighbour";
}

// For every voxel the window is looked through.
at::Tensor WorstNeighboursOneByOne(const at::Tensor& pred, const at::Tensor& target,
                                   int64_t radius) {
  at::Tensor worst = pred.clone();
  const auto in = pred.accessor<float, 5>();
  const auto class_of = target.accessor<float, 5>();
  auto out = worst.accessor<float, 5>();
  const auto around = [&](int64_t i, int d) {
    return std::pair(std::max<int64_t>(i - radius, 0), std::min(i + radius + 1, pred.size(d)));
  };
  for (int64_t z = 0; z < pred.size(2); ++z) {
    for (int64_t y = 0; y < pred.size(3); ++y) {
      for (int64_t x = 0; x < pred.size(4); ++x) {
        for (int64_t k = around(z, 2).first; k < around(z, 2).second; ++k) {
          for (int64_t j = around(y, 3).first; j < around(y, 3).second; ++j) {
            for (int64_t i = around(x, 4).first; i < around(x, 4).second; ++i) {
              if (class_of[0][0][k][j][i] != class_of[0][0][z][y][x]) continue;
              const float candidate = in[0][0][k][j][i];
              float& value = out[0][0][z][y][x];
              value = class_of[0][0][z][y][x] > 0.5F ? std::min(value, candidate)
                                                     : std::max(value, candidate);
            }
          }
        }
      }
    }
  }
  return worst;
}

TEST(ScnpLossTest, EqualsSearchOfEveryWindow) {
  for (const int64_t size : {3, 5, 7}) {
    LossInputs inputs = {.pred = Normal({1, 1, 6, 7, 9}, 1), .target = Coins({1, 1, 6, 7, 9}, 2)};
    const double value = Value(Scnp{.neighborhood_size = size}, inputs);
    inputs.pred = WorstNeighboursOneByOne(inputs.pred, inputs.target, size / 2);
    EXPECT_NEAR(value, Value(PerChannelBCE(), inputs), 1e-5);
  }
}

TEST(ScnpLossTest, GradientIsThatOfTheValue) {
  for (const auto& options :
       {Scnp(),
        Scnp{.neighborhood_size = 5, .auto_pos_weight = false, .reduction = Reduction::kSum},
        Scnp{.max_pos_weight = 1.5, .reduction = Reduction::kNone}}) {
    LossInputs inputs = {.pred = Normal({2, 2, 4, 3, 5}, 1), .target = Coins({2, 2, 4, 3, 5}, 2)};
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    inputs.weight = Coins({2, 1, 4, 3, 5}, 3) * 2;
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    ExpectSameInEveryType(*MakeLoss(options), inputs);
  }
}

TEST(ScnpLossTest, FlatVolumes) {
  const LossInputs inputs = {.pred = Normal({2, 2, 9, 8}, 1), .target = Coins({2, 2, 9, 8}, 2)};
  ExpectGradientOfValue(*MakeLoss(Scnp()), inputs);
}

TEST(ScnpLossTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(Scnp{.neighborhood_size = 4}),
              StartsWith("neighborhood_size: got 4, expected an odd number, 1 to 15"));
  EXPECT_THAT(ErrorOf(Scnp{.neighborhood_size = -1}), StartsWith("neighborhood_size"));
  EXPECT_THAT(ErrorOf(Scnp{.neighborhood_size = 17}), StartsWith("neighborhood_size"));
  EXPECT_THAT(ErrorOf(Scnp{.max_pos_weight = -1}), StartsWith("max_pos_weight"));
}

}  // namespace
}  // namespace lossd::testing
