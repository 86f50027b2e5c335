#include "lossd/sweep/slabs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/testing.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

// Several slabs a sample, the last one thinner; planes of many slabs' elements; images; one plane.
class SlabsTest : public ::testing::TestWithParam<std::vector<int64_t>> {
 protected:
  TaskPool pool_{3};
};

TEST_P(SlabsTest, TogetherAreTheWhole) {
  const at::Tensor tensor = Normal(GetParam(), 1);
  at::Tensor visits = at::zeros(GetParam(), at::kInt);
  ASSERT_TRUE(ForEachSlab(GetParam(), pool_, [&](const Slab& slab) {
                slab.Of(visits).add_(1);
                return absl::OkStatus();
              }).ok());
  EXPECT_TRUE(visits.eq(1).all().item<bool>());
  EXPECT_TRUE(at::equal(ToType(tensor, at::kHalf, pool_), tensor.to(at::kHalf)));
}

TEST_P(SlabsTest, MapTensorsThatAreBroadcast) {
  const at::Tensor tensor = Normal(GetParam(), 1);
  std::vector<int64_t> of_one = GetParam();
  of_one[0] = of_one[1] = 1;
  const at::Tensor factor = Normal(of_one, 2);
  const auto product = [](const at::Tensor& a, const at::Tensor& b) {
    return b.defined() ? a * b : a;
  };
  EXPECT_TRUE(at::equal(MapSlabs(factor, tensor, at::kFloat, pool_, product), factor * tensor));
  EXPECT_TRUE(at::equal(MapSlabs(tensor, {}, at::kDouble, pool_, product), tensor.to(at::kDouble)));
}

TEST_P(SlabsTest, RangeIsThatOfTheWhole) {
  at::Tensor tensor = Normal(GetParam(), 1);
  const ValueRange range = RangeOf(tensor, pool_);
  EXPECT_EQ(range.low, tensor.min().item<double>());
  EXPECT_EQ(range.high, tensor.max().item<double>());
  tensor.view({-1})[tensor.numel() / 2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(RangeOf(tensor, pool_).low));
  EXPECT_TRUE(std::isnan(RangeOf(tensor, pool_).high));
}

TEST_P(SlabsTest, RangeOfIntegersIsExact) {
  at::Tensor tensor = Coins(GetParam(), 1).to(at::kLong);
  constexpr int64_t kLarge = (int64_t{1} << 62) + 1;
  tensor.view({-1})[tensor.numel() / 3] = -kLarge;
  tensor.view({-1})[tensor.numel() / 2] = kLarge;
  EXPECT_EQ(RangeOf<int64_t>(tensor, pool_).low, -kLarge);
  EXPECT_EQ(RangeOf<int64_t>(tensor, pool_).high, kLarge);
}

INSTANTIATE_TEST_SUITE_P(Sizes, SlabsTest,
                         ::testing::Values(std::vector<int64_t>{2, 3, 23, 70, 90},
                                           std::vector<int64_t>{1, 2, 3, 500, 600},
                                           std::vector<int64_t>{2, 1, 700, 900},
                                           std::vector<int64_t>{3, 2, 1, 4, 5}));

TEST(SlabTest, LeavesBroadcastDimensionsAlone) {
  const Slab slab = {.sample = 1, .begin = 2, .size = 3};
  EXPECT_EQ(slab.Of(at::ones({1, 4, 9, 5})).sizes(), (std::vector<int64_t>{1, 4, 3, 5}));
  EXPECT_EQ(slab.Of(at::ones({2, 1, 1, 5})).sizes(), (std::vector<int64_t>{1, 1, 1, 5}));
  EXPECT_FALSE(slab.Of(at::Tensor()).defined());
}

TEST(ForEachSlabTest, ReturnsTheFirstErrorOrThatItWasCancelled) {
  TaskPool pool(3);
  const std::vector<int64_t> sizes = {2, 1, 40, 300, 300};
  const auto body = [](const Slab& slab) {
    return slab.sample == 1 ? absl::InternalError(absl::StrCat("at ", slab.begin))
                            : absl::OkStatus();
  };
  EXPECT_EQ(ForEachSlab(sizes, pool, body), absl::InternalError("at 0"));
  TaskGroup group(pool);
  const CancelledAtCheck cancellation(3);
  EXPECT_TRUE(absl::IsCancelled(ForEachSlab(sizes, Context(group, cancellation), body)));
}

}  // namespace
}  // namespace lossd::testing
