#include "lossd/malis/cpu/kernels.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <tuple>
#include <vector>

#include "lossd/base/instruction_sets.h"
#include "lossd/base/testing.h"

// Every kernel at every level that this processor has, against the baseline.
namespace lossd {
namespace {

class MalisKernelsTest : public testing::TestWithParam<InstructionSet> {
 protected:
  const MalisKernels& baseline_ = KernelsOf<MalisKernels>(InstructionSet::kBaseline);
  const MalisKernels& kernels_ = KernelsOf<MalisKernels>(GetParam());
  std::mt19937_64 random_{1};  // NOLINT(cert-msc51-cpp): the same in every run.
};

INSTANTIATE_TEST_SUITE_P(Levels, MalisKernelsTest, testing::ValuesIn(RunnableInstructionSets()),
                         [](const auto& level) { return Word(level.param); });

TEST_P(MalisKernelsTest, FindsTheSameBounds) {
  constexpr int64_t kCount = 101;
  constexpr int64_t kMargin = 20;
  std::vector<EdgeKey> keys(kCount + kVectorKeys + 2 * kMargin);
  for (EdgeKey& key : keys) {
    key = random_() % 5 == 0 ? kNoEdge : static_cast<EdgeKey>(random_() % 9);
  }
  const EdgeCycle cycles[] = {{.at = {-3, 7, 20}, .before = {1, 0, 0}},
                              {.at = {-20, -1, 2}, .before = {1, 1, 0}}};
  std::vector<EdgeKey> expected(kCount + kVectorKeys);
  std::vector<EdgeKey> bounds(kCount + kVectorKeys);
  baseline_.find_bounds(keys.data() + kMargin, cycles, 2, kCount, expected.data());
  kernels_.find_bounds(keys.data() + kMargin, cycles, 2, kCount, bounds.data());
  EXPECT_EQ(bounds, expected);
  // The first cycle's weakest edge, or the second's where that is stronger.
  const EdgeKey* const first = keys.data() + kMargin;
  const EdgeKey one = std::min({first[-3] + 1, first[7], first[20]});
  EXPECT_EQ(bounds[0], std::max(one, std::min({first[-20] + 1, first[-1] + 1, first[2]})));
}

TEST_P(MalisKernelsTest, CountsTheSameBits) {
  const std::vector<uint64_t> words = {0, ~uint64_t{0}, 0x8000000000000001, 0xff00};
  std::vector<uint32_t> before(words.size());
  EXPECT_EQ(kernels_.count_bits(words.data(), 4, before.data()), 74U);
  EXPECT_THAT(before, testing::ElementsAre(0, 0, 64, 66));
}

TEST_P(MalisKernelsTest, FindsTheSameJoins) {
  constexpr int64_t kWords = 3;
  for (const int64_t x_back : {0, 1, -9, 70}) {
    // Each voxel starts a run but some.
    std::vector<uint64_t> starts(2 * kWords);
    for (uint64_t& word : starts) word = random_() | random_();
    std::vector<uint32_t> before(starts.size());
    kernels_.count_bits(starts.data(), 2 * kWords, before.data());
    const RunRow to = {.starts = starts.data(), .before = before.data(), .words = kWords};
    const RunRow from = {
        .starts = starts.data() + kWords, .before = before.data() + kWords, .words = kWords};
    // Edges that stay within the row.
    std::vector<uint64_t> edges(kWords);
    for (int64_t x = 0; x < 64 * kWords; ++x) {
      const bool inside = x - x_back >= 0 && x - x_back < 64 * kWords;
      if (inside && random_() % 2 == 0) edges[x / 64] |= uint64_t{1} << x % 64;
    }
    const auto joins = [&](const MalisKernels& kernels) {
      std::vector<RunPair> pairs(64 * kWords);
      pairs.resize(kernels.find_joins(
          {.edges = edges.data(), .from = from, .to = to, .x_back = x_back}, pairs.data()));
      std::vector<std::tuple<uint32_t, uint32_t>> result;
      for (const RunPair& pair : pairs) result.emplace_back(pair.from, pair.to);
      return result;
    };
    EXPECT_EQ(joins(kernels_), joins(baseline_));
    EXPECT_FALSE(joins(kernels_).empty());
  }
}

}  // namespace
}  // namespace lossd
