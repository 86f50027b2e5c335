#include "lossd/compute/memory_need.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/resident_memory.h"
#include "lossd/base/task_pool.h"
#include "lossd/compute/orchestrator.h"
#include "lossd/losses/registry.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

// Large enough for volumes to outweigh the blocks that threads work on.
constexpr int64_t kEdge = 96;
constexpr int kThreads = 2;

struct Case {
  std::string name;
  std::string plan;
  Batch batch;
};

Batch RandomBatch() {
  Batch batch;
  batch.predictions = {{"output", at::randn({2, 3, kEdge, kEdge, kEdge})}};
  batch.labels = at::rand({2, 3, kEdge, kEdge, kEdge}).lt(0.5).to(at::kFloat);
  return batch;
}

Batch Masked(Batch batch) {
  batch.mask = at::rand({2, 1, kEdge, kEdge, kEdge}).gt(0.2);
  batch.label_mask = at::rand(batch.labels.sizes()).gt(0.2);
  return batch;
}

// A loss by itself.
Case CaseOf(const LossConfig& loss) {
  const LossTraits& traits = loss.traits();
  Case result = {.name = std::string(traits.name), .plan = "", .batch = RandomBatch()};
  std::string rest;
  if (traits.call_kind == CallKind::kPredPred) rest = ", pred: '0:1', pred2: '1:2'";
  if (traits.call_kind == CallKind::kPredOnly) rest = ", pred: ':'";
  if (traits.name == "SoftClDiceLoss") rest = ", kwargs: {sigmoid: true}";
  if (traits.target_kind == TargetKind::kClassIndex) {
    result.batch.labels = at::randint(3, {2, 1, kEdge, kEdge, kEdge}, at::kLong);
  }
  result.plan = absl::StrCat("[{function: ", traits.name, rest, "}]");
  return result;
}

constexpr char kThreeTerms[] = R"([
    {function: PerChannelBCEWithLogitsLoss},
    {function: DiceLoss, kwargs: {sigmoid: true}},
    {function: MalisLoss}])";

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const LossConfig& loss : AllLosses()) {
    if (!loss.traits().usable_in_plan) continue;
    const Case plain = CaseOf(loss);
    cases.push_back(plain);
    if (loss.traits().call_kind != CallKind::kPredTarget) continue;
    cases.push_back({plain.name + "_masked", plain.plan, Masked(plain.batch)});
  }
  const Batch batch = RandomBatch();
  Batch half = Masked(batch);
  half.predictions[0].tensor = half.predictions[0].tensor.to(at::kHalf);
  cases.push_back({"three_terms_half", kThreeTerms, half});
  Batch apart = batch;
  apart.per_term_gradients = true;
  cases.push_back({"three_terms_apart", kThreeTerms, apart});
  Batch scales = Masked(batch);
  scales.mode = Mode::kDeepSupervision;
  const at::Tensor coarse = at::avg_pool3d(batch.predictions[0].tensor, 2);
  scales.predictions.push_back({"ds_1", coarse});
  cases.push_back({"three_terms_scales", kThreeTerms, scales});
  // What MALIS takes most memory for: labels that contradict half-random edges.
  Batch inconsistent = batch;
  inconsistent.gt_seg = at::randint(1000, {2, kEdge, kEdge, kEdge}, at::kLong);
  cases.push_back({"malis_of_random_labels", "[{function: MalisLoss}]", inconsistent});
  return cases;
}

class MemoryNeedTest : public testing::TestWithParam<Case> {};

TEST_P(MemoryNeedTest, BoundsWhatIsTaken) {
  // Blocks come from the system and go back to it, so that resident is what is in use.
  mallopt(M_MMAP_THRESHOLD, 1 << 16);
  const auto& [name, text, batch] = GetParam();
  const absl::StatusOr<Plan> plan = ReadPlan(text);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const absl::StatusOr<std::unique_ptr<const Orchestrator>> orchestrator =
      Orchestrator::Create(*plan);
  ASSERT_TRUE(orchestrator.ok()) << orchestrator.status();
  const absl::StatusOr<Schedule> schedule = (*orchestrator)->Prepare(batch);
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  const MemoryNeed need = MeasureMemory(*schedule, batch, kThreads);

  TaskPool pool(kThreads);
  absl::StatusOr<Outcome> outcome;
  const int64_t peak =
      PeakResidentBytes([&] { outcome = (*orchestrator)->Compute(*schedule, batch, pool); });
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  const int64_t taken = peak - need.outcome.gradient_bytes;
  RecordProperty("taken", absl::StrCat(taken));
  RecordProperty("bound", absl::StrCat(need.scratch_bytes));
  EXPECT_LE(taken, need.scratch_bytes);
}

INSTANTIATE_TEST_SUITE_P(Plans, MemoryNeedTest, testing::ValuesIn(Cases()),
                         [](const auto& test) { return test.param.name; });

TEST(MemoryNeedTest, CountsTheBytesOfTensors) {
  Batch batch = RandomBatch();
  batch.mask = at::ones({2, 1, kEdge, kEdge, kEdge}, at::kBool);
  const auto orchestrator = Orchestrator::Create(*ReadPlan("[{function: MSELoss}]"));
  const auto schedule = (*orchestrator)->Prepare(batch);
  constexpr int64_t kVoxels = 2 * kEdge * kEdge * kEdge;
  const MemoryNeed need = MeasureMemory(*schedule, batch, kThreads);
  EXPECT_EQ(need.input_bytes, kVoxels * (3 * 4 + 3 * 4 + 1));
  EXPECT_EQ(need.outcome.gradient_bytes, kVoxels * 3 * 4);
  EXPECT_EQ(need.gpu_scratch_bytes, 0) << "nothing that can be told";
  // Of terms, which are computed one after another, the most: MALIS.
  const auto three = Orchestrator::Create(*ReadPlan(kThreeTerms));
  const auto their_schedule = (*three)->Prepare(batch);
  EXPECT_EQ(MeasureMemory(*their_schedule, batch, kThreads).gpu_scratch_bytes,
            kVoxels * (3 * 18 + 4 + 44 + 32 * 3));
}

}  // namespace
}  // namespace lossd
