#include "lossd/malis/components.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
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

// Rows are looked at 64 voxels at a time, which the oracle's small volumes do not fill.
TEST_P(RandomComponentsTest, OfLongRowsAreTheOracles) {
  TaskPool pool(GetParam());
  const std::vector<Offset> neighborhood = {{.z = 0, .y = 0, .x = -1},  {.z = 0, .y = 1, .x = 0},
                                            {.z = 1, .y = -1, .x = 70}, {.z = 0, .y = 1, .x = -9},
                                            {.z = 0, .y = 0, .x = 64},  {.z = -1, .y = 0, .x = 1}};
  for (uint32_t seed = 0; seed < Cases(2000); ++seed) {
    std::mt19937 random(seed);
    const GridShape shape = {.z = 2, .y = 3, .x = 60 + static_cast<int64_t>(random() % 140)};
    const size_t channels = 1 + random() % neighborhood.size();
    // From a few edges to almost all: components of a few voxels, and runs of several words.
    const auto percent = seed % 2 == 0 ? random() % 40 : 90 + random() % 11;
    std::vector<uint8_t> positive(channels * shape.voxels());
    for (uint8_t& flag : positive) flag = random() % 100 < percent ? 1 : 0;
    MalisSample sample;
    sample.shape = shape;
    sample.neighborhood = absl::MakeConstSpan(neighborhood).first(channels);
    sample.positive = positive;
    std::vector<uint32_t> labels(shape.voxels(), 99);
    ConnectedComponents(shape, sample.neighborhood, positive, pool, absl::MakeSpan(labels));
    ASSERT_EQ(labels, OracleComponents(sample)) << "seed " << seed;
  }
}

// Enough rows and runs that threads share them, joining and numbering at once.
TEST_P(RandomComponentsTest, OfLargeVolumesAreTheOracles) {
  TaskPool pool(GetParam());
  const std::vector<Offset> neighborhood = {
      {.z = 0, .y = 0, .x = -1}, {.z = 0, .y = -1, .x = 0}, {.z = -1, .y = 0, .x = 0}};
  const GridShape shape = {.z = 40, .y = 60, .x = 70};
  for (const uint32_t percent : {3, 20, 25, 30, 60, 100}) {
    std::mt19937 random(percent);
    std::vector<uint8_t> positive(neighborhood.size() * shape.voxels());
    // Any number but 0 is positive.
    for (uint8_t& flag : positive) {
      flag = random() % 100 < percent ? static_cast<uint8_t>(1 + random() % 255) : 0;
    }
    MalisSample sample;
    sample.shape = shape;
    sample.neighborhood = neighborhood;
    sample.positive = positive;
    std::vector<uint32_t> labels(shape.voxels(), 99);
    ConnectedComponents(shape, neighborhood, positive, pool, absl::MakeSpan(labels));
    ASSERT_EQ(labels, OracleComponents(sample)) << percent << " % positive";
  }
}

TEST(ComponentsTest, OfAnEmptyVolumeAreNone) {
  TaskPool pool(1);
  const std::vector<Offset> neighborhood = {{.z = 0, .y = 0, .x = -1}};
  for (const GridShape& shape :
       {GridShape{.z = 0, .y = 2, .x = 3}, GridShape{.z = 2, .y = 0, .x = 3},
        GridShape{.z = 2, .y = 3, .x = 0}}) {
    EXPECT_EQ(ConnectedComponents(shape, neighborhood, {}, pool, {}), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, RandomComponentsTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace lossd
