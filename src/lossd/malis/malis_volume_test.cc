// The engine against the published algorithm on volumes of many blocks.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/malis_data.h"
#include "bench/reference_malis.h"
#include "lossd/malis/malis.h"
#include "tests/oracle/cases.h"

namespace lossd {
namespace {

// Some twenty blocks, or eight where sanitizers make every voxel dear.
constexpr GridShape kShape =
    kSanitized ? GridShape{.z = 24, .y = 40, .x = 130} : GridShape{.z = 70, .y = 96, .x = 130};

void ExpectTheReferencesCounts(const MalisVolume& volume) {
  TaskPool pool(3);
  Workspace workspace;
  for (const MalisPass pass : {MalisPass::kNegative, MalisPass::kPositive}) {
    std::vector<uint64_t> counts(volume.affinity.size());
    ASSERT_TRUE(MalisCounts(volume.Sample(), pass, pool, workspace, absl::MakeSpan(counts)).ok());
    EXPECT_TRUE(counts == ReferenceMalisCounts(volume.Sample(), pass));
  }
  // Both passes together take another way through the blocks.
  std::vector<float> weights(volume.affinity.size());
  ASSERT_TRUE(MalisWeights({volume.Sample()}, pool, workspace, {absl::MakeSpan(weights)}).ok());
  const std::vector<float> expected = ReferenceMalisWeights(volume.Sample());
  size_t off = 0;
  for (size_t e = 0; e < weights.size(); ++e) {
    if (std::abs(weights[e] - expected[e]) > 1e-6F * expected[e]) ++off;
  }
  EXPECT_EQ(off, 0U);
}

TEST(MalisVolumeTest, Neurites) {
  const Segmentation neurites = Erode(SyntheticNeurites(kShape, 1));
  ExpectTheReferencesCounts(
      MakeVolume(neurites, NearestNeighborhood(), Prediction::kHalfTrained, 1));
  ExpectTheReferencesCounts(
      MakeVolume(neurites, LongRangeNeighborhood(), Prediction::kHalfTrained, 2));
}

TEST(MalisVolumeTest, TiesEverywhere) {
  const Segmentation neurites = Erode(SyntheticNeurites(kShape, 2));
  ExpectTheReferencesCounts(MakeVolume(neurites, NearestNeighborhood(), Prediction::kHalfFloat, 1));
  ExpectTheReferencesCounts(MakeVolume(neurites, NearestNeighborhood(), Prediction::kConstant, 1));
}

TEST(MalisVolumeTest, LabelsThatContradictTheAffinities) {
  MalisVolume volume = MakeVolume(Erode(SyntheticNeurites({.z = 40, .y = 40, .x = 70}, 3)),
                                  NearestNeighborhood(), Prediction::kHalfTrained, 1);
  for (size_t v = 0; v < volume.labels.size(); ++v) {
    volume.labels[v] = static_cast<uint32_t>(v * 2654435761U) % 20;
  }
  ExpectTheReferencesCounts(volume);
}

}  // namespace
}  // namespace lossd
