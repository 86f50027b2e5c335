#include "lossd/affinity/components.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "lossd/base/task_pool.h"
#include "tests/oracle/cases.h"
#include "tests/oracle/malis_oracle.h"
#include "tests/oracle/random_volume.h"

namespace lossd {
namespace {

using ::testing::ElementsAre;

TEST(ComponentsTest, AreNumberedByTheirFirstVoxelAndSingleVoxelsAreBackground) {
  const GridShape shape = {.z = 1, .y = 2, .x = 4};
  const std::vector<Offset> neighborhood = {{.z = 0, .y = 0, .x = 1}, {.z = 0, .y = 1, .x = 0}};
  const std::vector<uint8_t> positive = {0, 1, 0, 1, 0, 0, 0, 1,   // The fourth and eighth leave.
                                         1, 0, 0, 0, 1, 1, 1, 1};  // The last row leaves.
  std::vector<uint32_t> labels(8, 99);
  TaskPool pool(1);
  EXPECT_EQ(ConnectedComponents(shape, neighborhood, positive, pool, absl::MakeSpan(labels)), 2U);
  EXPECT_THAT(labels, ElementsAre(1, 2, 2, 0,  //
                                  1, 0, 0, 0));
}

class RandomComponentsTest : public testing::TestWithParam<int> {};

TEST_P(RandomComponentsTest, AreTheOracles) {
  TaskPool pool(GetParam());
  for (uint32_t seed = 0; seed < Cases(20000); ++seed) {
    const RandomVolume volume(seed * 5 + static_cast<uint32_t>(GetParam()));
    const MalisSample sample = volume.Sample();
    const std::vector<uint32_t> expected = OracleComponents(sample);
    std::vector<uint32_t> labels(expected.size(), 99);
    const uint32_t count = ConnectedComponents(sample.shape, sample.neighborhood, sample.positive,
                                               pool, absl::MakeSpan(labels));
    ASSERT_EQ(labels, expected) << "seed " << seed << ", " << volume.Describe();
    ASSERT_EQ(count, *std::max_element(expected.begin(), expected.end()));
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, RandomComponentsTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace lossd
