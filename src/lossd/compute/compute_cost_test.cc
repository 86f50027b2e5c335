#include "lossd/compute/compute_cost.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/compute/orchestrator.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

// Of a volume of that edge with 2 channels.
double CostOf(const std::string& plan, int64_t edge = 32) {
  const std::vector<int64_t> shape = {1, 2, edge, edge, edge};
  const at::TensorOptions nothing = at::TensorOptions(at::kMeta).dtype(at::kFloat);
  Batch batch;
  batch.predictions = {{"output", at::empty(shape, nothing)}};
  batch.labels = at::empty(shape, nothing);
  const auto orchestrator = Orchestrator::Create(*ReadPlan(plan));
  const absl::StatusOr<Schedule> schedule = (*orchestrator)->Prepare(batch);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  return ComputeCost(*schedule, batch);
}

std::string ClDice(int iterations) {
  return absl::StrCat("{function: SoftClDiceLoss, kwargs: {sigmoid: true, num_iters: ", iterations,
                      "}}");
}

TEST(ComputeCostTest, GrowsWithVoxelsTermsAndIterations) {
  const double one = CostOf("[{function: MSELoss}]");
  EXPECT_EQ(CostOf("[{function: MSELoss}]", 64), 8 * one);
  EXPECT_GT(CostOf("[{function: MSELoss}, {function: MSELoss}]"), 1.5 * one);
  EXPECT_LT(CostOf("[{function: MSELoss, pred_slice: '0', target_slice: '0'}]"), one);
  EXPECT_GT(CostOf(absl::StrCat("[", ClDice(100), "]")),
            5 * CostOf(absl::StrCat("[", ClDice(5), "]")));
  EXPECT_GT(CostOf(absl::StrCat("[", ClDice(0), "]")), 2 * one);
}

TEST(ComputeCostTest, CountsWhatMalisLooksAt) {
  const std::string nhood = "nhood: [[-1, 0, 0], [0, -1, 0]]";
  const double whole = CostOf(absl::StrCat("[{function: MalisLoss, kwargs: {", nhood, "}}]"));
  const double crop =
      CostOf(absl::StrCat("[{function: MalisLoss, kwargs: {malis_crop_size: 16, ", nhood, "}}]"));
  EXPECT_GT(whole, 5 * CostOf("[{function: MSELoss}]"));
  EXPECT_LT(crop, whole / 4);
}

}  // namespace
}  // namespace lossd
