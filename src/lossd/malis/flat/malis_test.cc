// The flat algorithm against the oracle and the CPU engine. On threads, or, with
// LOSSD_TEST_DEVICE=cuda:0, on that device. LOSSD_TEST_CASES says how many random volumes a test
// looks at.

#include "lossd/malis/flat/malis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "lossd/base/task_pool.h"
#include "lossd/base/testing.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/flat/host_loops.h"
#include "lossd/malis/flat/testing.h"
#include "lossd/malis/malis.h"
#include "tests/oracle/cases.h"
#include "tests/oracle/malis_oracle.h"
#include "tests/oracle/random_volume.h"

namespace lossd::flat {
namespace {

constexpr MalisPass kPasses[] = {MalisPass::kNegative, MalisPass::kPositive};

uint32_t RandomVolumes() {
  const char* const wanted = std::getenv("LOSSD_TEST_CASES");
  uint32_t cases = 0;
  return wanted != nullptr && absl::SimpleAtoi(wanted, &cases) ? cases : Cases(2000);
}

class FlatMalisTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why_not;
    runner_ = MakeRunner(GetParam(), 16, why_not);
    if (runner_ == nullptr) GTEST_SKIP() << GetParam() << ": " << why_not;
  }

  std::unique_ptr<Runner> runner_;
};

INSTANTIATE_TEST_SUITE_P(Places, FlatMalisTest, testing::ValuesIn(Places()),
                         [](const auto& place) { return NameOf(place.param); });

// Volumes of RandomVolume are nasty in every way but one: these have long paths of best edges, and
// every voxel may be an object.
OwnedBatch RandomBatch(uint32_t seed, const RandomVolume& volume) {
  OwnedBatch batch(volume.Sample(), 1 + seed % 3);
  if (seed % 5 == 1) {
    for (size_t e = 0; e < batch.affinity.size(); ++e) {
      batch.affinity[e] = static_cast<float>(e % 97) / 97;
    }
  }
  if (seed % 7 == 1) {
    batch.labels.resize(static_cast<size_t>(batch.samples * batch.shape.voxels()));
    for (size_t v = 0; v < batch.labels.size(); ++v) batch.labels[v] = static_cast<uint32_t>(v + 1);
  }
  return batch;
}

TEST_P(FlatMalisTest, CountsAreTheOraclesAndTheEngines) {
  TaskPool pool(1);
  Workspace workspace;
  for (uint32_t seed = 0; seed < RandomVolumes(); ++seed) {
    const RandomVolume volume(seed);
    const OwnedBatch batch = RandomBatch(seed, volume);
    for (const MalisPass pass : kPasses) {
      const auto result = runner_->CountsOf(batch, pass);
      ASSERT_FALSE(result.nan);
      std::vector<uint64_t> oracle;
      std::vector<uint64_t> engine;
      for (int64_t s = 0; s < batch.samples; ++s) {
        const std::vector<uint64_t> expected = OracleMalisCounts(batch.Sample(s), pass);
        oracle.insert(oracle.end(), expected.begin(), expected.end());
        std::vector<uint64_t> counts(expected.size());
        ASSERT_TRUE(
            MalisCounts(batch.Sample(s), pass, pool, workspace, absl::MakeSpan(counts)).ok());
        engine.insert(engine.end(), counts.begin(), counts.end());
      }
      const auto about = [&] {
        return "seed " + std::to_string(seed) +
               (pass == MalisPass::kNegative ? ", negative" : ", positive") + " pass, " +
               volume.Describe();
      };
      ASSERT_EQ(result.values, oracle) << about();
      ASSERT_EQ(result.values, engine) << about();
    }
  }
}

TEST_P(FlatMalisTest, WeightsAreTheEnginesBitForBit) {
  TaskPool pool(1);
  Workspace workspace;
  for (uint32_t seed = 0; seed < RandomVolumes() / 4; ++seed) {
    const RandomVolume volume(seed);
    const OwnedBatch batch = RandomBatch(seed, volume);
    const auto result = runner_->WeightsOf(batch);
    ASSERT_FALSE(result.nan);
    std::vector<float> engine(batch.affinity.size());
    std::vector<MalisSample> samples;
    std::vector<absl::Span<float>> spans;
    const size_t size = engine.size() / static_cast<size_t>(batch.samples);
    for (int64_t s = 0; s < batch.samples; ++s) {
      samples.push_back(batch.Sample(s));
      spans.push_back(absl::MakeSpan(engine).subspan(static_cast<size_t>(s) * size, size));
    }
    MalisPairs pairs;
    ASSERT_TRUE(MalisWeights(samples, pool, workspace, spans, &pairs).ok());
    ASSERT_EQ(result.values, engine) << "seed " << seed << ", " << volume.Describe();
    ASSERT_THAT(result.pairs, testing::ElementsAre(pairs.negative, pairs.positive)) << seed;
  }
}

// Were one of them not earlier, links could lead round in circles, and loops with them.
TEST(EarlierNeighbourTest, IsEarlierIfThereIsOne) {
  TaskPool pool(1);
  Workspace workspace;
  WorkspaceMemory memory(workspace);
  HostLoops loops(pool, memory);
  for (uint32_t seed = 0; seed < Cases(200); ++seed) {
    const RandomVolume volume(seed);
    const OwnedBatch owned(volume.Sample(), 2);
    const Batch batch = owned.OnHost();
    if (EdgesOfSample(batch) == 0) continue;
    constexpr MalisPass kPass = MalisPass::kNegative;
    ForPasses(loops, batch, {}, {&kPass, 1}, [&](const Edges& edges, const Labels&) {
      std::vector<bool> has_earlier(edges.voxels);
      const auto positive = [&](uint64_t place) { return edges.positive[place] != 0; };
      ForEdges(loops, edges, [&](uint32_t c, const Position& at) {
        if (!positive(edges.Place(c, at))) return;
        has_earlier[std::max(at.voxel, edges.Step(at, c).voxel)] = true;
      });
      for (uint32_t v = 0; v < edges.voxels; ++v) {
        const uint32_t earlier = EarlierNeighbour(edges, v, positive);
        ASSERT_LE(earlier, v) << seed;
        ASSERT_EQ(earlier < v, has_earlier[v]) << seed;
      }
    });
  }
}

TEST_P(FlatMalisTest, SaysWhichAffinityIsNaN) {
  OwnedBatch batch(RandomVolume(3).Sample(), 2);
  batch.affinity[batch.affinity.size() - 2] = std::numeric_limits<float>::quiet_NaN();
  const auto place = static_cast<int64_t>(batch.affinity.size()) - 2;
  EXPECT_EQ(runner_->WeightsOf(batch).nan, place);
  batch.affinity[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(runner_->CountsOf(batch, MalisPass::kPositive).nan, 5);
}

TEST_P(FlatMalisTest, NothingIsNothing) {
  const MalisSample no_voxels = {.shape = {.z = 2, .y = 0, .x = 3},
                                 .neighborhood = {},
                                 .affinity = {},
                                 .positive = {},
                                 .known = {},
                                 .labels = {}};
  EXPECT_TRUE(runner_->WeightsOf(OwnedBatch(no_voxels, 1)).values.empty());
}

// Inputs that take most of some array: hardly a cycle that is seen, no labels given, every voxel a
// node of its own and an object.
TEST_P(FlatMalisTest, TakesNoMoreMemoryThanItSays) {
  const int64_t side = kSanitized ? 10 : 16;
  const GridShape shape = {.z = side, .y = side, .x = side};
  const auto voxels = static_cast<size_t>(shape.voxels());
  const std::vector<Offset> offsets = {{.z = -1, .y = 0, .x = 0},  {.z = 0, .y = -3, .x = 1},
                                       {.z = 2, .y = 0, .x = -1},  {.z = 3, .y = 4, .x = 0},
                                       {.z = -2, .y = 3, .x = -3}, {.z = 0, .y = 2, .x = 5}};
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same in every run.
  double closest = 0;
  for (size_t channels = 1; channels <= offsets.size(); ++channels) {
    for (const uint32_t rate : {0U, 1U, 10U}) {
      for (const uint32_t objects : {0U, 1U, 1000000U}) {
        std::vector<float> affinity(channels * voxels);
        for (float& a : affinity) a = static_cast<float>(random() >> 8) / (1 << 24);
        std::vector<uint8_t> positive(affinity.size());
        for (uint8_t& p : positive) p = random() % 10 < rate ? 1 : 0;
        std::vector<uint32_t> labels(objects == 0 ? 0 : voxels);
        for (uint32_t& l : labels) l = 1 + static_cast<uint32_t>(random()) % objects;
        const OwnedBatch batch({.shape = shape,
                                .neighborhood = absl::MakeConstSpan(offsets).first(channels),
                                .affinity = affinity,
                                .positive = positive,
                                .known = {},
                                .labels = labels},
                               2);
        const int64_t limit = ScratchBytes(batch.OnHost());
        const auto taken = static_cast<int64_t>(runner_->WeightsOf(batch).scratch_bytes);
        EXPECT_LE(taken, limit) << channels << " channels, " << rate << ", " << objects;
        closest = std::max(closest, static_cast<double>(taken) / static_cast<double>(limit));
      }
    }
  }
  EXPECT_GT(closest, 0.9);
}

TEST(FlatMalisOnThreadsTest, StopsWhereverItIs) {
  const OwnedBatch batch(RandomVolume(30).Sample(), 2);
  TaskPool pool(4);
  TaskGroup group(pool);
  Workspace workspace;
  std::vector<float> weights(batch.affinity.size());
  uint64_t pairs[2];
  const auto run = [&](const Cancellation& cancellation) {
    WorkspaceMemory arrays(workspace);
    MeasuredMemory memory(arrays);
    HostLoops loops(Context(group, cancellation), memory, 16);
    EXPECT_FALSE(Weights(loops, batch.OnHost(), weights.data(), pairs));
    EXPECT_EQ(memory.taken(), 0U);
    return loops.Stopped();
  };
  const CancelledAtCheck never;
  ASSERT_FALSE(run(never));
  const std::vector<float> expected = weights;
  ASSERT_GT(never.checks(), 100);
  const int64_t step = kSanitized ? 7 : 1;
  for (int64_t check = 1; check < never.checks(); check += step) {
    ASSERT_TRUE(run(CancelledAtCheck(check))) << check;
  }
  ASSERT_FALSE(run(never));
  EXPECT_EQ(weights, expected);
}

TEST(FlatBatchTest, IsCutIntoPartsThatEdgesCanBeNumberedIn) {
  const OwnedBatch owned(RandomVolume(3).Sample(), 5);
  const Batch batch = owned.OnHost();
  const int64_t edges = EdgesOfSample(batch);
  EXPECT_EQ(Parts(batch).size(), 1U);
  const std::vector<Batch> parts = Parts(batch, 2 * edges + 1);
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].samples, 2);
  EXPECT_EQ(parts[2].samples, 1);
  EXPECT_EQ(parts[2].affinity, batch.affinity + 4 * edges);
  EXPECT_EQ(parts[2].positive, batch.positive + 4 * edges);
  EXPECT_EQ(Parts(batch, 1).size(), 5U);
  // Nor are there too many tiny samples.
  Batch many = batch;
  many.samples = 10000;
  EXPECT_EQ(Parts(many).size(), 3U);
}

}  // namespace
}  // namespace lossd::flat
