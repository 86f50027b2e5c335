// The flat algorithm against the CPU engine on larger volumes, of all kinds.
// LOSSD_TEST_SEGMENTATION names a .npy file of integers [Z, Y, X] to cut crops of 64³ and 128³
// from; without it, they are small and synthetic.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/malis_data.h"
#include "bench/read_segmentation.h"
#include "lossd/base/task_pool.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/flat/testing.h"
#include "lossd/malis/malis.h"
#include "tests/oracle/cases.h"

namespace lossd::flat {
namespace {

class FlatInputsTest : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Places, FlatInputsTest, testing::ValuesIn(Places()),
                         [](const auto& place) { return NameOf(place.param); });

std::vector<Segmentation> Crops() {
  const auto cube = [](int64_t side) { return GridShape{.z = side, .y = side, .x = side}; };
  const char* const path = std::getenv("LOSSD_TEST_SEGMENTATION");
  if (path == nullptr) return {SyntheticNeurites(cube(kSanitized ? 16 : 40), 1)};
  const absl::StatusOr<Segmentation> whole = ReadSegmentation(path);
  if (!whole.ok()) {
    ADD_FAILURE() << whole.status();
    return {};
  }
  return {Crop(*whole, {.z = 64, .y = 64, .x = 64}, cube(64)), Crop(*whole, {}, cube(128))};
}

TEST_P(FlatInputsTest, CountsAndWeightsAreTheEngines) {
  std::string why_not;
  const std::unique_ptr<Runner> runner = MakeRunner(GetParam(), 1 << 12, why_not);
  if (runner == nullptr) GTEST_SKIP() << GetParam() << ": " << why_not;
  TaskPool pool(1);
  Workspace workspace;
  const auto check = [&](absl::string_view name, const MalisVolume& volume) {
    SCOPED_TRACE(std::string(name));
    const MalisSample sample = volume.Sample();
    const OwnedBatch batch(sample, 1);
    for (const MalisPass pass : {MalisPass::kNegative, MalisPass::kPositive}) {
      std::vector<uint64_t> counts(sample.affinity.size());
      ASSERT_TRUE(MalisCounts(sample, pass, pool, workspace, absl::MakeSpan(counts)).ok());
      EXPECT_TRUE(runner->CountsOf(batch, pass).values == counts);
    }
    std::vector<float> weights(sample.affinity.size());
    ASSERT_TRUE(MalisWeights({sample}, pool, workspace, {absl::MakeSpan(weights)}).ok());
    EXPECT_TRUE(runner->WeightsOf(batch).values == weights);
  };
  for (const Segmentation& crop : Crops()) {
    ForEachInput(crop, check);
    check("12 offsets",
          MakeVolume(Erode(crop), LongRangeNeighborhood(), Prediction::kHalfTrained, 1));
  }
}

}  // namespace
}  // namespace lossd::flat
