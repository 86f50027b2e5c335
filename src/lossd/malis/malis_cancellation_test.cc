// The engine when nobody waits for its weights any more.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "lossd/base/testing.h"
#include "lossd/malis/components.h"
#include "lossd/malis/cpu/block_contraction.h"
#include "lossd/malis/cpu/block_grid.h"
#include "lossd/malis/cpu/count_sink.h"
#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/cpu/edge_sort.h"
#include "lossd/malis/cpu/pair_counting.h"
#include "lossd/malis/cpu/spanning_forest.h"
#include "lossd/malis/malis.h"
#include "tests/oracle/cases.h"

namespace lossd {
namespace {

enum class Labels { kOfComponents, kAllDifferent };

// A cube without any structure: most of it is left after the blocks, and joins are of many labels.
class Noise {
 public:
  Noise(int64_t size, Labels labels, bool masked) : shape_{.z = size, .y = size, .x = size} {
    std::mt19937 random(1);
    const auto edges = static_cast<size_t>(3 * shape_.voxels());
    const auto draw = [&] { return static_cast<float>(random() >> 8) / (1 << 24); };
    for (size_t e = 0; e < edges; ++e) affinity_.push_back(draw());
    for (size_t e = 0; e < edges; ++e) positive_.push_back(draw() < 0.2F ? 1 : 0);
    if (masked) {
      for (size_t e = 0; e < edges; ++e) known_.push_back(draw() < 0.9F ? 1 : 0);
    }
    if (labels == Labels::kAllDifferent) {
      // Too far apart to index an array by them.
      for (int64_t v = 0; v < shape_.voxels(); ++v) {
        labels_.push_back(static_cast<uint32_t>(v + 1) * 2654435761U);
      }
    }
  }

  MalisSample Sample() const {
    return {.shape = shape_,
            .neighborhood = neighborhood_,
            .affinity = affinity_,
            .positive = positive_,
            .known = known_,
            .labels = labels_};
  }

 private:
  GridShape shape_;
  std::vector<Offset> neighborhood_ = {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
  std::vector<float> affinity_;
  std::vector<uint8_t> positive_;
  std::vector<uint8_t> known_;
  std::vector<uint32_t> labels_;
};

struct Case {
  Labels labels;
  bool masked;
  int threads;
};

class MalisCancellationTest : public testing::TestWithParam<Case> {};

TEST_P(MalisCancellationTest, StopsWhereverItIsAndLeavesThePoolUsable) {
  const Noise volume(kSanitized ? 34 : 64, GetParam().labels, GetParam().masked);
  const MalisSample sample = volume.Sample();
  TaskPool pool(GetParam().threads);
  TaskGroup group(pool);
  Workspace workspace;
  std::vector<float> weights(sample.affinity.size());
  const auto compute = [&](const Cancellation& cancellation) {
    return MalisWeights({sample}, Context(group, cancellation), workspace,
                        {absl::MakeSpan(weights)});
  };
  const CancelledAtCheck never;
  ASSERT_TRUE(compute(never).ok());
  const std::vector<float> expected = weights;

  // All checks there are, or a good many of them.
  const int64_t step = std::max<int64_t>(1, never.checks() / std::max(1U, Cases(30)));
  for (int64_t check = 1; check < never.checks() - GetParam().threads; check += step) {
    const CancelledAtCheck cancellation(check);
    ASSERT_EQ(compute(cancellation), absl::CancelledError("cancelled by the test")) << check;
  }
  ASSERT_TRUE(compute(never).ok());
  EXPECT_TRUE(weights == expected);
}

TEST_P(MalisCancellationTest, CountsStopToo) {
  const Noise volume(20, GetParam().labels, GetParam().masked);
  TaskPool pool(GetParam().threads);
  TaskGroup group(pool);
  Workspace workspace;
  std::vector<uint64_t> counts(volume.Sample().affinity.size());
  for (int64_t check = 1; check < 10; ++check) {
    const CancelledAtCheck cancellation(check);
    ASSERT_TRUE(absl::IsCancelled(MalisCounts(volume.Sample(), MalisPass::kPositive,
                                              Context(group, cancellation), workspace,
                                              absl::MakeSpan(counts))))
        << check;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, MalisCancellationTest,
                         testing::Values(Case{Labels::kOfComponents, false, 1},
                                         Case{Labels::kAllDifferent, false, 1},
                                         Case{Labels::kAllDifferent, true, 1},
                                         Case{Labels::kOfComponents, true, 3}));

// Every phase asks about as often as it must for what it does.
TEST(MalisPhasesTest, EachAsks) {
  if (kSanitized) GTEST_SKIP() << "as often as in a plain build, and slowly";
  const Noise volume(100, Labels::kAllDifferent, /*masked=*/true);
  const MalisSample sample = volume.Sample();
  TaskPool pool(1);
  TaskGroup group(pool);
  Workspace workspace;
  const auto checks_of = [&](const auto& phase) {
    const CancelledAtCheck counter;
    phase(Context(group, counter));
    return counter.checks();
  };
  constexpr int64_t kStep = 1 << 16;
  const int64_t rows = 3 * sample.shape.z * sample.shape.y;

  std::vector<uint32_t> labels(sample.labels.size());
  EXPECT_GE(checks_of([&](const Context& context) {
              ConnectedComponents(sample.shape, sample.neighborhood, sample.positive, context,
                                  absl::MakeSpan(labels));
            }),
            3 * sample.shape.z + 3 * (sample.shape.voxels() >> 15));

  EdgeKeys keys;
  EXPECT_GE(
      checks_of([&](const Context& context) { keys = *BuildEdgeKeys(sample, context, workspace); }),
      rows / 1024);
  EXPECT_GE(checks_of([&](const Context& context) {
              BuildPassKeys(sample, MalisPass::kNegative, context, keys);
            }),
            rows / 1024);

  std::vector<float> weights(sample.affinity.size());
  CountSink sink(sample, MalisPass::kNegative, /*all_count=*/false, nullptr, weights.data());
  ContractedGraph graph;
  const int64_t blocks = BlockGrid(sample.shape, sample.neighborhood, kBlockBits).blocks();
  EXPECT_GE(checks_of([&](const Context& context) {
              graph = std::move((*ContractBlocks(sample, sample.labels, std::move(keys),
                                                 {&sink, nullptr}, context, workspace))[0]);
            }),
            rows / 1024 + 2 * blocks);

  const auto edges = static_cast<int64_t>(graph.edges.size());
  ASSERT_GE(edges, 3 * kStep);
  // Looks at them, counts them, parts them, and sorts 1024 ranges, 8 at a time.
  EXPECT_GE(checks_of([&](const Context& context) { SortEdges(graph, context, workspace); }),
            3 * (edges >> 22) + 1024 / 8);
  const auto sets = static_cast<int64_t>(graph.sets.size());
  EXPECT_GE(checks_of([&](const Context& context) {
              WalkEdges(graph, MalisPass::kNegative, context, workspace);
            }),
            edges / kStep + sets / kStep);
  const auto leaves = static_cast<int64_t>(graph.forest.leaves.size());
  const auto joins = static_cast<int64_t>(graph.forest.joins.size());
  ASSERT_GE(joins, 3 * kStep);
  // Renumbers labels, orders leaves, and passes over all of them at least three times more.
  EXPECT_GE(checks_of([&](const Context& context) {
              CountPairs(graph.forest, MalisPass::kNegative, context, workspace, sink);
            }),
            (4 * leaves + joins + 3 * leaves) / kStep);
  EXPECT_GE(checks_of([&](const Context& context) { StoreCounts(graph, context, sink); }),
            edges >> 14);
}

// Nearly all keys are neighbours but one, so that they fall into one range of the sort.
TEST(MalisPhasesTest, ARangeOfTheSortAsks) {
  TaskPool pool(1);
  TaskGroup group(pool);
  Workspace workspace;
  constexpr int64_t kEdges = 1 << 19;
  for (const bool equal : {false, true}) {
    ContractedGraph graph = {.sets = {},
                             .leaves = {},
                             .edges = Workspace::Buffer<ContractedEdge>(workspace, kEdges),
                             .forest = JoinForest(workspace),
                             .contracted = std::numeric_limits<EdgeKey>::max()};
    for (int64_t e = 0; e < kEdges; ++e) {
      const int64_t key = e == 0 ? 1 << 30 : (equal ? 5 : e % 1000);
      graph.edges[e] = {.key = static_cast<EdgeKey>(key),
                        .edge = static_cast<uint32_t>(kEdges - e),
                        .a = 0,
                        .b = 0};
    }
    const CancelledAtCheck counter;
    SortEdges(graph, Context(group, counter), workspace);
    // Ranges, and two looks at all edges and at least one pass over them.
    EXPECT_GE(counter.checks(), 1024 / 8 + 3 * (kEdges >> 16));
  }
}

}  // namespace
}  // namespace lossd
