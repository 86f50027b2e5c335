#include "lossd/malis/cpu/block_contraction.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/cpu/edge_sort.h"
#include "lossd/malis/cpu/spanning_forest.h"
#include "tests/oracle/cases.h"
#include "tests/oracle/malis_oracle.h"
#include "tests/oracle/random_volume.h"

namespace lossd {
namespace {

class BlockContractionTest : public testing::TestWithParam<int> {};

// Blocks of 1 to 64 voxels, so that most sets are open at times.
TEST_P(BlockContractionTest, KeepsTheCounts) {
  TaskPool pool(2);
  Workspace workspace;
  for (uint32_t seed = 0; seed < Cases(2000); ++seed) {
    const RandomVolume volume(seed * 10 + static_cast<uint32_t>(GetParam()));
    MalisSample sample = volume.Sample();
    const std::vector<uint32_t> components = OracleComponents(sample);
    if (sample.labels.empty()) sample.labels = components;
    auto keys = BuildEdgeKeys(sample, pool, workspace);
    ASSERT_TRUE(keys.ok()) << keys.status();
    std::array<std::vector<uint64_t>, 2> counts;
    counts.fill(std::vector<uint64_t>(sample.affinity.size(), 0));
    CountSink negative(sample, MalisPass::kNegative, keys->shared, counts[0].data(), nullptr);
    CountSink positive(sample, MalisPass::kPositive, keys->shared, counts[1].data(), nullptr);
    auto graphs = ContractBlocks(sample, sample.labels, *std::move(keys), {&negative, &positive},
                                 pool, workspace, GetParam());
    ASSERT_TRUE(graphs.ok()) << graphs.status();
    for (ContractedGraph& graph : *graphs) SortEdges(graph, pool, workspace);
    JoinRest((*graphs)[0], MalisPass::kNegative, pool, workspace, negative);
    JoinRest((*graphs)[1], MalisPass::kPositive, pool, workspace, positive);
    ASSERT_EQ(counts[0], OracleMalisCounts(sample, MalisPass::kNegative))
        << "negative pass, seed " << seed << ", " << volume.Describe();
    ASSERT_EQ(counts[1], OracleMalisCounts(sample, MalisPass::kPositive))
        << "positive pass, seed " << seed << ", " << volume.Describe();
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, BlockContractionTest, testing::Values(0, 1, 2, 3, 4, 6));

}  // namespace
}  // namespace lossd
