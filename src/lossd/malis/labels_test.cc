#include "lossd/malis/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "lossd/base/testing.h"

namespace lossd {
namespace {

using ::testing::ElementsAre;

template <typename Int>
class CompactLabelsTest : public testing::Test {};

using Ints =
    testing::Types<int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t>;
TYPED_TEST_SUITE(CompactLabelsTest, Ints);

TYPED_TEST(CompactLabelsTest, NumbersIdsInTheOrderOfTheirFirstVoxels) {
  constexpr TypeParam kMin = std::numeric_limits<TypeParam>::min();  // 0 for unsigned types.
  constexpr TypeParam kMax = std::numeric_limits<TypeParam>::max();
  const std::vector<TypeParam> ids = {kMax, kMax, 0, 7, kMax, 0, 0, kMin, 7};
  std::vector<uint32_t> labels(ids.size(), 99);
  TaskPool pool(1);
  const uint32_t count = CompactLabels<TypeParam>(ids, pool, absl::MakeSpan(labels));
  const uint32_t lowest = kMin == 0 ? 0 : 3;
  EXPECT_EQ(count, kMin == 0 ? 2U : 3U);
  EXPECT_THAT(labels, ElementsAre(1, 1, 0, 2, 1, 0, 0, lowest, 2));
}

TEST(CompactManyLabelsTest, AsksAsItGoes) {
  std::vector<int64_t> ids(1 << 20);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(ids.size() - i) << 33;
  std::vector<uint32_t> labels(ids.size());
  TaskPool pool(1);
  TaskGroup group(pool);
  const CancelledAtCheck counter;
  EXPECT_EQ(CompactLabels<int64_t>(ids, Context(group, counter), absl::MakeSpan(labels)),
            ids.size());
  // Looks at them once, and up four times more slowly.
  EXPECT_GE(counter.checks(), 5 * (1 << 20) / (1 << 16));
}

TEST(CompactNoLabelsTest, NothingHasNoLabels) {
  TaskPool pool(1);
  EXPECT_EQ(CompactLabels<int64_t>({}, pool, {}), 0U);
}

}  // namespace
}  // namespace lossd
