// The engine against the oracle on tens of thousands of random small volumes, made to be nasty.

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "lossd/malis/malis.h"
#include "tests/oracle/cases.h"
#include "tests/oracle/malis_oracle.h"
#include "tests/oracle/random_volume.h"

namespace lossd {
namespace {

class MalisPropertyTest : public testing::TestWithParam<int> {};

TEST_P(MalisPropertyTest, CountsAreTheOracles) {
  TaskPool pool(GetParam());
  Workspace workspace;
  for (uint32_t seed = 0; seed < Cases(20000); ++seed) {
    const RandomVolume volume(seed * 3 + static_cast<uint32_t>(GetParam()));
    const MalisSample sample = volume.Sample();
    for (const MalisPass pass : {MalisPass::kNegative, MalisPass::kPositive}) {
      std::vector<uint64_t> counts(sample.affinity.size(), 1);
      ASSERT_TRUE(MalisCounts(sample, pass, pool, workspace, absl::MakeSpan(counts)).ok());
      ASSERT_EQ(counts, OracleMalisCounts(sample, pass))
          << "seed " << seed << ", " << (pass == MalisPass::kNegative ? "negative" : "positive")
          << " pass, " << volume.Describe();
    }
  }
}

TEST_P(MalisPropertyTest, WeightsAreTheOraclesForBatches) {
  TaskPool pool(GetParam());
  Workspace workspace;
  for (uint32_t seed = 0; seed < Cases(1000); ++seed) {
    const std::vector<RandomVolume> volumes = {RandomVolume(seed), RandomVolume(seed + 5000),
                                               RandomVolume(seed + 9000)};
    std::vector<MalisSample> samples;
    std::vector<std::vector<float>> weights;
    std::vector<absl::Span<float>> spans;
    for (const RandomVolume& volume : volumes) {
      samples.push_back(volume.Sample());
      weights.emplace_back(samples.back().affinity.size(), 3.0F);
    }
    for (std::vector<float>& w : weights) spans.push_back(absl::MakeSpan(w));
    ASSERT_TRUE(MalisWeights(samples, pool, workspace, spans).ok());
    for (size_t s = 0; s < samples.size(); ++s) {
      const std::vector<double> expected = OracleMalisWeights(samples[s]);
      for (size_t e = 0; e < expected.size(); ++e) {
        ASSERT_NEAR(weights[s][e], expected[e], 3e-7 * expected[e])
            << "edge " << e << ", seed " << seed << ", " << volumes[s].Describe();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, MalisPropertyTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace lossd
