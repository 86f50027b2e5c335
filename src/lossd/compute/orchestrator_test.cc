#include "lossd/compute/orchestrator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/base/testing.h"
#include "lossd/compute/crop_origin.h"
#include "lossd/compute/gpu_batch.h"
#include "lossd/compute/memory_need.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<const Orchestrator> Make(absl::string_view text) {
  const auto plan = ReadPlan(text);
  EXPECT_TRUE(plan.ok()) << plan.status();
  auto orchestrator = Orchestrator::Create(*plan);
  EXPECT_TRUE(orchestrator.ok()) << orchestrator.status() << "\n" << text;
  return *std::move(orchestrator);
}

// On the host or, with LOSSD_TEST_DEVICE=cuda:0, on that GPU.
absl::StatusOr<Outcome> TryCompute(absl::string_view text, const Batch& batch, int threads = 1) {
  TaskPool pool(threads);
  const std::unique_ptr<const Orchestrator> orchestrator = Make(text);
  const char* const gpu = std::getenv("LOSSD_TEST_DEVICE");
  if (gpu == nullptr) return orchestrator->Compute(batch, pool);
  const absl::StatusOr<Schedule> schedule = orchestrator->Prepare(batch);
  if (!schedule.ok()) return schedule.status();
  return ComputeOnGpu(*orchestrator, *schedule, batch, at::Device(gpu), pool);
}

Outcome Compute(absl::string_view text, const Batch& batch, int threads = 1) {
  auto outcome = TryCompute(text, batch, threads);
  EXPECT_TRUE(outcome.ok()) << outcome.status() << "\n" << text;
  return outcome.ok() ? *std::move(outcome) : Outcome{};
}

// Random logits and binary labels.
Batch RandomBatch(at::IntArrayRef shape, int64_t label_channels, uint64_t seed) {
  at::manual_seed(seed);
  std::vector<int64_t> label_shape = shape.vec();
  label_shape[1] = label_channels;
  Batch batch;
  batch.predictions = {{"output", at::randn(shape) * 2}};
  batch.labels = (at::rand(label_shape) > 0.6).to(at::kFloat);
  return batch;
}

const at::Tensor& Gradient(const Outcome& outcome, absl::string_view name = "output") {
  for (const NamedTensor& gradient : outcome.gradients) {
    if (gradient.name == name) return gradient.tensor;
  }
  static const auto& none = *new at::Tensor(at::zeros({1}));
  ADD_FAILURE() << "no gradient of " << name;
  return none;
}

std::map<std::string, double> Logs(const Outcome& outcome) {
  std::map<std::string, double> logs(outcome.logs.begin(), outcome.logs.end());
  EXPECT_EQ(logs.size(), outcome.logs.size());
  return logs;
}

void ExpectClose(const at::Tensor& a, const at::Tensor& b) {
  ASSERT_EQ(a.sizes(), b.sizes());
  const auto largest = b.abs().max().item<double>();
  EXPECT_TRUE(at::allclose(a, b, 1e-4, 1e-6 * largest)) << (a - b).abs().max() << " of " << largest;
}

// Everything there is on the way of a request: masks, resized labels, clamps, half types,
// balancing.
TEST(OrchestratorTest, StopsWhereverItIsWhenItIsCancelled) {
  const auto orchestrator = Make(R"(
clamp_max: 2
loss_balancing: {strategy: uncertainty}
losses:
- {function: WeightedBCEWithLogitsLoss, pos_weight: auto}
- {function: DiceLoss, kwargs: {sigmoid: true}}
- {function: SoftClDiceLoss, kwargs: {sigmoid: true, mode: multi, num_iters: 2}}
- {function: MalisLoss, mask: 0}
)");
  Batch batch = RandomBatch({2, 3, 7, 20, 30}, 3, 1);
  batch.predictions[0].tensor = batch.predictions[0].tensor.to(at::kHalf);
  batch.mask = at::rand({2, 1, 7, 20, 30}).gt(0.2);
  batch.label_mask = at::rand({2, 3, 7, 20, 30}).gt(0.1);
  for (const bool allow_non_finite : {false, true}) {
    batch.allow_non_finite = allow_non_finite;
    for (const int threads : {1, 3}) {
      TaskPool pool(threads);
      TaskGroup group(pool);
      const CancelledAtCheck never;
      const auto expected = orchestrator->Compute(batch, Context(group, never));
      ASSERT_TRUE(expected.ok()) << expected.status();
      for (int64_t check = 1; check <= never.checks() - threads; ++check) {
        const CancelledAtCheck cancellation(check);
        EXPECT_EQ(orchestrator->Compute(batch, Context(group, cancellation)).status(),
                  absl::CancelledError("cancelled by the test"))
            << check;
      }
      const auto again = orchestrator->Compute(batch, Context(group, never));
      ASSERT_TRUE(again.ok()) << again.status();
      EXPECT_TRUE(at::equal(Gradient(*again), Gradient(*expected)));
    }
  }
}

// Half of a loss may well be infinite: that is not what is reported.
TEST(OrchestratorTest, WhatIsNotFiniteIsNotReportedOfACancelledComputation) {
  const auto orchestrator = Make("[{function: WeightedMSELoss}]");
  Batch batch = RandomBatch({1, 1, 4, 4, 4}, 1, 1);
  batch.predictions[0].tensor.fill_(std::numeric_limits<float>::quiet_NaN());
  TaskPool pool(1);
  TaskGroup group(pool);
  const CancelledAtCheck never;
  EXPECT_TRUE(
      absl::IsInvalidArgument(orchestrator->Compute(batch, Context(group, never)).status()));
  for (int64_t check = 1; check <= never.checks(); ++check) {
    const CancelledAtCheck cancellation(check);
    EXPECT_TRUE(
        absl::IsCancelled(orchestrator->Compute(batch, Context(group, cancellation)).status()))
        << check;
  }
}

// Whole volumes are looked at and copied slab by slab (slabs.h), here four a channel.
TEST(OrchestratorTest, AsksAsItPreparesInputs) {
  constexpr int64_t kSlabs = 4;
  const auto checks_of = [](absl::string_view plan, const Batch& batch) {
    TaskPool pool(1);
    TaskGroup group(pool);
    const CancelledAtCheck counter;
    Make(plan)->Compute(batch, Context(group, counter)).IgnoreError();
    return counter.checks();
  };
  constexpr absl::string_view kPlan = "[{function: WeightedMSELoss, target: 0}]";
  constexpr absl::string_view kWithMask = "[{function: WeightedMSELoss, target: 0, mask: 1}]";
  constexpr absl::string_view kBalanced =
      "[{function: WeightedBCEWithLogitsLoss, target: 0, pos_weight: auto}]";
  const Batch plain = RandomBatch({1, 1, 64, 128, 128}, 2, 1);
  const int64_t checks = checks_of(kPlan, plain);

  Batch masked = plain;
  masked.mask = at::rand({1, 1, 64, 128, 128}).gt(0.2).to(at::kByte);
  // Checked and widened; multiplied; where it is above 0.
  EXPECT_GE(checks_of(kPlan, masked) - checks, 2 * kSlabs);
  EXPECT_GE(checks_of(kWithMask, masked) - checks_of(kWithMask, plain), 3 * kSlabs);
  EXPECT_GE(checks_of(kBalanced, masked) - checks_of(kBalanced, plain), 3 * kSlabs);
  Batch known = plain;
  known.label_mask = at::rand({1, 2, 64, 128, 128}).gt(0.2).to(at::kByte);
  EXPECT_GE(checks_of(kPlan, known) - checks, 3 * kSlabs);
  // What an error tells of: the prediction is clamped, the target masked, and they and the mask are
  // looked at.
  Batch broken = known;
  broken.predictions[0].tensor = at::full({1, 1, 64, 128, 128}, NAN);
  Batch allowed = broken;
  allowed.allow_non_finite = true;
  allowed.losses_only = true;
  broken.losses_only = true;
  EXPECT_GE(checks_of(kPlan, broken) - checks_of(kPlan, allowed), 5 * kSlabs);
  // A prediction that is known nowhere is looked at plane by plane.
  Batch weighted = RandomBatch({1, 3, 20, 10, 10}, 3, 1);
  weighted.mask = at::full({1, 1, 20, 10, 10}, 0.5);
  EXPECT_GE(checks_of("[{function: MalisLoss}]", weighted), 20);
}

// The combined expression of several terms, written down in LibTorch and differentiated as a whole.
TEST(OrchestratorTest, EqualsAutogradOfTheWholeExpression) {
  Batch batch = RandomBatch({2, 3, 4, 5, 6}, 4, 1);
  batch.mask = (at::rand({2, 1, 4, 5, 6}) > 0.3).to(at::kFloat);
  const Outcome outcome = Compute(R"(
clamp_min: -1.5
clamp_max: 2
losses:
- {function: WeightedBCEWithLogitsLoss, pred: 0, target: 0, weight: 0.5}
- {function: WeightedMSELoss, pred: "1:3", target: "1:3", mask: 3, weight: 2, kwargs: {tanh: true}}
- {function: NonOverlapRegularization, pred: "0:2", weight: -0.25}
- {function: ForegroundDistanceConsistency, pred: 0, pred2: -1, weight: 3}
)",
                                  batch);

  const at::Tensor pred = batch.predictions[0].tensor.clone().requires_grad_();
  const at::Tensor p = pred.clamp(-1.5, 2);
  const auto channels = [](const at::Tensor& tensor, int64_t start, int64_t stop) {
    return tensor.slice(1, start, stop);
  };
  const auto masked_mean = [](const at::Tensor& map, const at::Tensor& weight) {
    return (map * weight).sum() / (weight.expand_as(map) > 0).sum();
  };
  const at::Tensor bce =
      masked_mean(at::binary_cross_entropy_with_logits(
                      channels(p, 0, 1), channels(batch.labels, 0, 1), {}, {}, at::Reduction::None),
                  batch.mask);
  const at::Tensor mse =
      masked_mean((channels(p, 1, 3).tanh() - channels(batch.labels, 1, 3)).square(),
                  batch.mask * channels(batch.labels, 3, 4));
  const at::Tensor overlap = (channels(p, 0, 1).sigmoid() * channels(p, 1, 2).sigmoid()).mean();
  const at::Tensor d = channels(p, 2, 3).tanh();
  const at::Tensor f = channels(p, 0, 1);
  const at::Tensor consistency =
      ((-at::log_sigmoid(f) * d.clamp_min(0) - at::log_sigmoid(-f) * (-d).clamp_min(0)) *
       batch.mask)
          .mean();
  const at::Tensor total = 0.5 * bce + 2 * mse - 0.25 * overlap + 3 * consistency;
  const at::Tensor gradient = torch::autograd::grad({total}, {pred})[0];

  EXPECT_NEAR(outcome.total, total.item<double>(), 1e-5 * std::abs(outcome.total));
  ExpectClose(Gradient(outcome), gradient);
  EXPECT_TRUE(((pred > 2).logical_or(pred < -1.5)).any().item<bool>());
}

TEST(OrchestratorTest, ReportsEachTerm) {
  const Batch batch = RandomBatch({2, 2, 4, 4}, 2, 2);
  const Outcome outcome = Compute(
      "[{function: MSELoss, weight: 0.5}, {function: L1Loss, pred: 0, target: 1, weight: -3}]",
      batch);
  ASSERT_EQ(outcome.terms.size(), 2);
  const TermOutcome& term = outcome.terms[1];
  EXPECT_EQ(term.name, "term_1");
  EXPECT_EQ(term.function, "L1Loss");
  EXPECT_EQ(term.scale, 0);
  EXPECT_EQ(term.coefficient, -3);
  EXPECT_DOUBLE_EQ(term.weighted, -3 * term.raw);
  EXPECT_EQ(term.balance_weight, 1);
  EXPECT_EQ(term.malis_crop_origin, std::nullopt);
  EXPECT_THAT(term.gradients, testing::IsEmpty());
  EXPECT_DOUBLE_EQ(outcome.total, outcome.terms[0].weighted + term.weighted);
  EXPECT_FALSE(outcome.drew_crop_origin);
  std::vector<std::string> keys;
  for (const auto& [key, value] : outcome.logs) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("train_loss_term_0_raw", "train_loss_term_0_coef",
                                "train_loss_term_0_weighted", "train_loss_term_1_raw",
                                "train_loss_term_1_coef", "train_loss_term_1_weighted",
                                "train_loss_total"));
  EXPECT_EQ(Logs(outcome)["train_loss_term_1_weighted"], term.weighted);
  EXPECT_EQ(Logs(outcome)["train_loss_total"], outcome.total);
}

TEST(OrchestratorTest, TheStageNamesTheLogs) {
  Batch batch = RandomBatch({1, 1, 4, 4}, 1, 2);
  batch.stage = "val";
  EXPECT_THAT(Logs(Compute("[{function: MSELoss}]", batch)),
              testing::Contains(testing::Key("val_loss_total")));
}

TEST(OrchestratorTest, RoutesNamedHeads) {
  Batch batch = RandomBatch({2, 3, 4, 4}, 4, 3);
  const at::Tensor aff = batch.predictions[0].tensor;
  const at::Tensor sdt = at::randn({2, 1, 4, 4}).to(at::kHalf);
  const at::Tensor unused = at::randn({2, 1, 4, 4});
  batch.predictions = {{"sdt", sdt}, {"aff", aff}, {"idle", unused}};
  const Outcome outcome = Compute(R"(
losses:
- {function: WeightedBCEWithLogitsLoss}
- {function: MSELoss, pred_head: sdt, weight: 2}
primary_head: aff
heads:
  aff: {target_slice: "0:3", out_channels: 3}
  sdt: {target_slice: 3}
  idle: {}
)",
                                  batch);
  Batch aff_only = batch;
  aff_only.predictions = {{"output", aff}};
  Batch sdt_only = batch;
  sdt_only.predictions = {{"output", sdt}};
  const Outcome first = Compute("[{function: WeightedBCEWithLogitsLoss, target: '0:3'}]", aff_only);
  const Outcome second = Compute("[{function: MSELoss, target: 3, weight: 2}]", sdt_only);
  EXPECT_DOUBLE_EQ(outcome.total, first.total + second.total);
  ASSERT_EQ(outcome.gradients.size(), 3);
  EXPECT_EQ(outcome.gradients[0].name, "sdt");
  EXPECT_TRUE(Gradient(outcome, "aff").equal(Gradient(first)));
  EXPECT_TRUE(Gradient(outcome, "sdt").equal(Gradient(second)));
  EXPECT_EQ(Gradient(outcome, "sdt").scalar_type(), at::kHalf);
  EXPECT_TRUE(Gradient(outcome, "idle").equal(at::zeros_like(unused)));
}

TEST(OrchestratorTest, ALonePredictionServesTermsThatNameNoHead) {
  const Batch batch = RandomBatch({1, 2, 4, 4}, 2, 3);
  EXPECT_EQ(Compute("{losses: [{function: MSELoss}], heads: {aff: {}}}", batch).total,
            Compute("[{function: MSELoss}]", batch).total);
}

TEST(OrchestratorTest, OneMaskServesEverySample) {
  const std::string plan =
      "[{function: WeightedMSELoss}, {function: SmoothL1Loss, mask: 1}, {function: MSELoss}, "
      "{function: BinaryRegularization, pred: 0}]";
  Batch batch = RandomBatch({2, 2, 4, 5}, 2, 8);
  const at::Tensor mask = at::rand({1, 1, 2, 5}) > 0.5;
  batch.mask = mask.expand({2, 1, 2, 5}).contiguous();
  const Outcome expected = Compute(plan, batch);
  batch.mask = mask;
  const Outcome outcome = Compute(plan, batch);
  EXPECT_EQ(outcome.total, expected.total);
  EXPECT_TRUE(Gradient(outcome).equal(Gradient(expected)));
}

TEST(OrchestratorTest, WhatIsNotFiniteMayBeAllowed) {
  Batch batch = RandomBatch({2, 1, 4, 5}, 1, 9);
  batch.predictions[0].tensor[0][0][1][2] = std::numeric_limits<float>::quiet_NaN();
  const std::string plan =
      "[{function: MSELoss}, {function: DiceLoss, weight: 2, kwargs: {sigmoid: true}}]";
  EXPECT_EQ(ErrorField(TryCompute(plan, batch).status()), "losses[0]");
  batch.allow_non_finite = true;
  const Outcome outcome = Compute(plan, batch);
  EXPECT_TRUE(std::isnan(outcome.total));
  EXPECT_TRUE(std::isnan(Logs(outcome)["train_loss_term_1_raw"]));
  // As PyTorch has it: a clamped NaN is one, without a gradient, and a sample's Dice is made of all
  // its voxels.
  const at::Tensor gradient = Gradient(outcome);
  EXPECT_EQ(gradient[0].isnan().sum().item<int64_t>(), 19);
  EXPECT_EQ(gradient[0][0][1][2].item<float>(), 0);
  EXPECT_TRUE(gradient[1].isfinite().all().item<bool>());
}

TEST(OrchestratorTest, WithoutGradientsOnlyLosses) {
  Batch batch = RandomBatch({1, 2, 4, 4}, 2, 4);
  const std::string plan =
      "{losses: [{function: MSELoss}, {function: DiceLoss, kwargs: {sigmoid: true}}], "
      "loss_balancing: {strategy: uncertainty}}";
  const Outcome full = Compute(plan, batch);
  batch.losses_only = true;
  const Outcome losses = Compute(plan, batch);
  EXPECT_EQ(losses.total, full.total);
  EXPECT_EQ(losses.logs, full.logs);
  EXPECT_THAT(losses.gradients, testing::IsEmpty());
  EXPECT_THAT(losses.log_vars_gradient, testing::IsEmpty());
}

TEST(OrchestratorTest, TellsTheSizeOfWhatItWillCompute) {
  Batch batch = RandomBatch({1, 2, 4, 4}, 2, 4);
  batch.predictions = {{"a", batch.predictions[0].tensor.to(at::kHalf)},
                       {"bc", at::randn({1, 1, 4, 4})}};
  batch.predictions.push_back({"ds_1/a", at::randn({1, 2, 2, 2}).to(at::kHalf)});
  batch.predictions.push_back({"ds_1/bc", at::randn({1, 1, 2, 2})});
  batch.mode = Mode::kDeepSupervision;
  const std::string plan =
      "{heads: {a: {}, bc: {}}, losses: [{function: MSELoss, pred_head: a},"
      " {function: ContourDistanceConsistency, pred_head: a, pred: 0, pred2_head: a, pred2: 1},"
      " {function: ContourDistanceConsistency, pred_head: a, pred: 0, pred2_head: bc, pred2: 0}]}";
  const auto expect = [&] {
    const std::unique_ptr<const Orchestrator> orchestrator = Make(plan);
    const absl::StatusOr<Schedule> schedule = orchestrator->Prepare(batch);
    ASSERT_TRUE(schedule.ok()) << schedule.status();
    const MemoryNeed need = MeasureMemory(*schedule, batch, /*threads=*/1);
    const OutcomeSize& size = need.outcome;
    const Outcome outcome = Compute(plan, batch);
    OutcomeSize found;
    const auto add = [&found](const std::vector<NamedTensor>& gradients) {
      for (const NamedTensor& gradient : gradients) {
        ++found.gradients;
        found.gradient_bytes += static_cast<int64_t>(gradient.tensor.nbytes());
        found.name_bytes += static_cast<int64_t>(gradient.name.size());
      }
    };
    add(outcome.gradients);
    for (const TermOutcome& term : outcome.terms) add(term.gradients);
    EXPECT_EQ(size.terms, outcome.terms.size());
    EXPECT_EQ(size.gradients, found.gradients);
    EXPECT_EQ(size.gradient_bytes, found.gradient_bytes);
    EXPECT_EQ(size.name_bytes, found.name_bytes);
  };
  expect();
  batch.per_term_gradients = true;
  expect();
  batch.float32_gradients = true;
  expect();
  batch.per_term_gradients = false;
  batch.losses_only = true;
  expect();
}

TEST(OrchestratorTest, UncertaintyBalancingScalesTermsAndDerivesItself) {
  Batch batch = RandomBatch({1, 2, 4, 4}, 2, 5);
  const std::string losses =
      "losses: [{function: MSELoss, weight: 2}, {function: L1Loss, pred: 0, target: 0}]";
  batch.per_term_gradients = true;
  const Outcome plain = Compute(losses, batch);
  batch.log_vars = {0.3, -0.7};
  const Outcome outcome =
      Compute(absl::StrCat(losses, "\nloss_balancing: {strategy: uncertainty}"), batch);
  double total = 0;
  at::Tensor gradient = at::zeros_like(batch.predictions[0].tensor);
  for (size_t i = 0; i < 2; ++i) {
    const double s = batch.log_vars[i];
    const double weighted = plain.terms[i].weighted;
    total += 0.5 * std::exp(-s) * weighted + 0.5 * s;
    gradient.add_(plain.terms[i].gradients[0].tensor, 0.5 * std::exp(-s));
    EXPECT_NEAR(outcome.log_vars_gradient[i], 0.5 - 0.5 * std::exp(-s) * weighted, 1e-9);
    EXPECT_DOUBLE_EQ(outcome.terms[i].balance_weight, std::exp(-s));
    // Balancing leaves the terms' own gradients alone.
    EXPECT_TRUE(outcome.terms[i].gradients[0].tensor.equal(plain.terms[i].gradients[0].tensor));
  }
  EXPECT_NEAR(outcome.total, total, 1e-9);
  ExpectClose(Gradient(outcome), gradient);
  auto logs = Logs(outcome);
  EXPECT_DOUBLE_EQ(logs["train_loss_term_1_balance_weight"], std::exp(0.7));
  EXPECT_DOUBLE_EQ(logs["train_loss_term_1_balanced"], std::exp(0.7) * plain.terms[1].weighted);
  EXPECT_DOUBLE_EQ(logs["train_loss_uncertainty/term_1_weight"], std::exp(0.7));
  EXPECT_DOUBLE_EQ(logs["train_loss_uncertainty/reg"], 0.5 * (0.3 - 0.7));
}

TEST(OrchestratorTest, GradNormBalancingWeighsByTheGivenWeights) {
  Batch batch = RandomBatch({1, 2, 4, 4}, 2, 6);
  const std::string losses = "losses: [{function: MSELoss}, {function: L1Loss}]";
  batch.per_term_gradients = true;
  const Outcome plain = Compute(losses, batch);
  batch.task_weights = {3, 1};
  const Outcome outcome =
      Compute(absl::StrCat(losses, "\nloss_balancing: {strategy: gradnorm}"), batch);
  EXPECT_NEAR(outcome.total, 1.5 * plain.terms[0].raw + 0.5 * plain.terms[1].raw, 1e-5);
  ExpectClose(Gradient(outcome),
              1.5 * plain.terms[0].gradients[0].tensor + 0.5 * plain.terms[1].gradients[0].tensor);
  EXPECT_THAT(outcome.log_vars_gradient, testing::IsEmpty());
  EXPECT_NEAR(Logs(outcome)["train_loss_gradnorm/term_0_weight"], 1.5, 1e-5);
  // Ones when none are given.
  batch.task_weights = {};
  EXPECT_NEAR(Compute(absl::StrCat(losses, "\nloss_balancing: {strategy: gradnorm}"), batch).total,
              plain.total, 1e-5 * plain.total);
}

class DeepSupervisionTest : public testing::Test {
 protected:
  DeepSupervisionTest() {
    batch_ = RandomBatch({1, 2, 8, 6, 4}, 2, 7);
    batch_.predictions.push_back({"ds_2", at::randn({1, 2, 2, 2, 1})});
    batch_.predictions.push_back({"ds_1", at::randn({1, 2, 4, 3, 2})});
    batch_.mode = Mode::kDeepSupervision;
  }

  // What standard mode makes of one of the predictions.
  Outcome Alone(absl::string_view plan, absl::string_view name) const {
    Batch alone = batch_;
    alone.mode = Mode::kStandard;
    for (const NamedTensor& prediction : batch_.predictions) {
      if (prediction.name == name) alone.predictions = {{"output", prediction.tensor}};
    }
    return Compute(plan, alone);
  }

  Batch batch_;
};

TEST_F(DeepSupervisionTest, AddsTheScalesWithHalvingWeights) {
  const std::string plan =
      "[{function: WeightedMSELoss}, {function: DiceLoss, weight: 0.5, kwargs: {sigmoid: true}}]";
  const Outcome outcome = Compute(plan, batch_);
  const Outcome fine = Alone(plan, "output");
  const Outcome middle = Alone(plan, "ds_1");
  const Outcome coarse = Alone(plan, "ds_2");
  EXPECT_NEAR(outcome.total, fine.total + middle.total / 2 + coarse.total / 4, 1e-9);
  ExpectClose(Gradient(outcome, "output"), Gradient(fine));
  ExpectClose(Gradient(outcome, "ds_1"), Gradient(middle) / 2);
  ExpectClose(Gradient(outcome, "ds_2"), Gradient(coarse) / 4);
  auto logs = Logs(outcome);
  EXPECT_DOUBLE_EQ(logs["train_loss_scale_1"], middle.total);
  EXPECT_DOUBLE_EQ(logs["train_loss_scale_2_term_1_raw"], coarse.terms[1].raw);
  EXPECT_EQ(logs["train_loss_total"], outcome.total);
  EXPECT_EQ(logs.size(), 3 * (2 * 3 + 1) + 1);
}

TEST_F(DeepSupervisionTest, CoarserScalesMayHaveHeads) {
  const std::string plan =
      "{losses: [{function: MSELoss, pred_head: a}, {function: L1Loss, pred_head: b}], heads: {a: "
      "{out_channels: 2}, b: {}}}";
  const at::Tensor other = at::randn({1, 2, 4, 3, 2});
  batch_.predictions = {{"a", batch_.predictions[0].tensor},
                        {"b", batch_.predictions[0].tensor},
                        {"ds_1/b", other},
                        {"ds_1/a", batch_.predictions[2].tensor}};
  const Outcome outcome = Compute(plan, batch_);
  Batch coarse = batch_;
  coarse.mode = Mode::kStandard;
  coarse.predictions = {{"a", batch_.predictions[3].tensor}, {"b", other}};
  const Outcome alone = Compute(plan, coarse);
  EXPECT_EQ(Logs(outcome)["train_loss_scale_1"], alone.total);
  ExpectClose(Gradient(outcome, "ds_1/a"), Gradient(alone, "a") / 2);
  ExpectClose(Gradient(outcome, "ds_1/b"), Gradient(alone, "b") / 2);

  Batch wrong = batch_;
  wrong.predictions.pop_back();
  EXPECT_EQ(ErrorField(TryCompute(plan, wrong).status()), "predictions[ds_1/a]");
  wrong.predictions.push_back({"ds_1/c", other});
  EXPECT_EQ(ErrorField(TryCompute(plan, wrong).status()), "predictions[ds_1/c]");
  wrong.predictions.back() = {"ds_1/a", other.narrow(1, 0, 1)};
  EXPECT_EQ(ErrorField(TryCompute(plan, wrong).status()), "predictions[ds_1/a].shape");
  wrong.predictions.back() = {"ds_1", other};
  EXPECT_EQ(ErrorField(TryCompute(plan, wrong).status()), "predictions");
}

TEST_F(DeepSupervisionTest, TakesThePlansWeightsIfThereAreEnough) {
  const std::string losses = "losses: [{function: MSELoss}]\n";
  const double fine = Alone(losses, "output").total;
  const double middle = Alone(losses, "ds_1").total;
  const double coarse = Alone(losses, "ds_2").total;
  const auto total = [&](absl::string_view weights) {
    return Compute(absl::StrCat(losses, "deep_supervision_weights: ", weights), batch_).total;
  };
  EXPECT_NEAR(total("[3, 2, 1]"), 3 * fine + 2 * middle + coarse, 1e-9);
  EXPECT_NEAR(total("[3, 2, 1, 7]"), 3 * fine + 2 * middle + coarse, 1e-9);
  EXPECT_NEAR(total("[3, 2]"), fine + middle / 2 + coarse / 4, 1e-9);
}

TEST_F(DeepSupervisionTest, SomeTermsApplyAtTheFinestScaleOnly) {
  const std::string plan =
      "[{function: MSELoss, apply_deep_supervision: false}, {function: L1Loss, pred: 0, target: 0, "
      "apply_deep_supervision: false}]";
  const Outcome outcome = Compute(plan, batch_);
  EXPECT_EQ(outcome.terms.size(), 2);
  EXPECT_EQ(outcome.total, Alone(plan, "output").total);
  EXPECT_EQ(Logs(outcome)["train_loss_scale_1"], 0);
  EXPECT_TRUE(Gradient(outcome, "ds_1").equal(at::zeros({1, 2, 4, 3, 2})));
}

TEST_F(DeepSupervisionTest, BalancesAtEachScaleTheTermsThatApply) {
  const std::string losses =
      "losses: [{function: MSELoss, apply_deep_supervision: false}, {function: L1Loss}]\n";
  const Outcome plain = Compute(losses, batch_);
  batch_.log_vars = {0.5, -0.25};
  const Outcome outcome =
      Compute(absl::StrCat(losses, "loss_balancing: {strategy: uncertainty}"), batch_);
  double total = 0;
  std::vector<double> log_vars_gradient(2, 0);
  for (const TermOutcome& term : plain.terms) {
    const size_t i = term.name == "term_0" ? 0 : 1;
    const double s = batch_.log_vars[i];
    const double scale_weight = std::ldexp(1, -term.scale);
    total += scale_weight * (0.5 * std::exp(-s) * term.weighted + 0.5 * s);
    log_vars_gradient[i] += scale_weight * (0.5 - 0.5 * std::exp(-s) * term.weighted);
  }
  EXPECT_NEAR(outcome.total, total, 1e-9);
  EXPECT_THAT(outcome.log_vars_gradient,
              testing::Pointwise(testing::DoubleNear(1e-9), log_vars_gradient));
}

TEST_F(DeepSupervisionTest, ChecksForFiniteLossesInTrainingOnly) {
  batch_.predictions[1].tensor[0][0][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ErrorField(TryCompute("[{function: MSELoss}]", batch_).status()), "losses[0]");
  batch_.stage = "val";
  EXPECT_TRUE(std::isnan(Compute("[{function: MSELoss}]", batch_).total));
}

TEST_F(DeepSupervisionTest, HeadsAreForTheFinestScale) {
  batch_.predictions[0].name = "aff";
  const std::string heads = ", heads: {aff: {}}}";
  EXPECT_TRUE(TryCompute(absl::StrCat("{losses: [{function: MSELoss}]", heads), batch_).ok());
  EXPECT_EQ(
      ErrorField(
          TryCompute(absl::StrCat("{losses: [{function: MSELoss, pred_head: aff}]", heads), batch_)
              .status()),
      "losses[0].pred_head");
  EXPECT_TRUE(TryCompute(absl::StrCat("{losses: [{function: MSELoss, pred_head: aff, "
                                      "apply_deep_supervision: false}]",
                                      heads),
                         batch_)
                  .ok());
}

constexpr char kTwoCrops[] =
    "[{function: MalisLoss, kwargs: {malis_crop_size: [3, 4, 2]}}, {function: MSELoss}, "
    "{function: MalisLoss, kwargs: {malis_crop_size: 2}}]";

TEST(CropTest, DrawsOriginsFromTheSeed) {
  Batch batch = RandomBatch({1, 3, 6, 7, 8}, 3, 8);
  batch.malis_crop_seed = 42;
  const Outcome outcome = Compute(kTwoCrops, batch);
  EXPECT_TRUE(outcome.drew_crop_origin);
  CropOriginDraw draw(42);
  EXPECT_EQ(outcome.terms[0].malis_crop_origin, draw.Next({6, 7, 8}, {3, 4, 2}));
  EXPECT_EQ(outcome.terms[1].malis_crop_origin, std::nullopt);
  EXPECT_EQ(outcome.terms[2].malis_crop_origin, draw.Next({6, 7, 8}, {2, 2, 2}));
  // The drawn origins, given, are the same computation.
  batch.malis_crop_origins = {*outcome.terms[0].malis_crop_origin,
                              *outcome.terms[2].malis_crop_origin};
  const Outcome given = Compute(kTwoCrops, batch);
  EXPECT_FALSE(given.drew_crop_origin);
  EXPECT_EQ(given.total, outcome.total);
  EXPECT_TRUE(Gradient(given).equal(Gradient(outcome)));
}

TEST(CropTest, OneOriginServesAllTerms) {
  Batch batch = RandomBatch({1, 3, 6, 7, 8}, 3, 8);
  batch.malis_crop_origins = {{3, 2, 1}};
  const Outcome outcome = Compute(kTwoCrops, batch);
  EXPECT_EQ(outcome.terms[0].malis_crop_origin, (VoxelIndex{3, 2, 1}));
  EXPECT_EQ(outcome.terms[2].malis_crop_origin, (VoxelIndex{3, 2, 1}));
}

TEST(CropTest, EachScaleHasItsOwnOrigin) {
  Batch batch = RandomBatch({1, 3, 6, 6, 6}, 3, 8);
  batch.predictions.push_back({"ds_1", at::randn({1, 3, 3, 3, 3})});
  batch.mode = Mode::kDeepSupervision;
  batch.malis_crop_origins = {{4, 4, 4}, {1, 1, 1}};
  const std::string plan = "[{function: MalisLoss, kwargs: {malis_crop_size: 2}}]";
  const Outcome outcome = Compute(plan, batch);
  EXPECT_EQ(outcome.terms[1].malis_crop_origin, (VoxelIndex{1, 1, 1}));
  batch.malis_crop_origins = {{4, 4, 4}};
  EXPECT_EQ(ErrorField(TryCompute(plan, batch).status()), "malis_crop.origins[0].z");
}

TEST(NotFiniteTest, NamesTheTermAndDescribesItsTensors) {
  Batch batch = RandomBatch({2, 2, 4, 4}, 2, 9);
  batch.labels[1][1][0][0] = std::numeric_limits<float>::quiet_NaN();
  const absl::Status status =
      TryCompute("[{function: MSELoss, pred: 0, target: 0}, {function: L1Loss}]", batch).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorField(status), "losses[1]");
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(HasSubstr("term_1 (L1Loss)"), HasSubstr("pred [2, 2, 4, 4]"),
                             HasSubstr("1 NaN, 0 Inf"), HasSubstr("per sample 0.0000, 0.0312")));
}

// Of a single class the probability is 1, where the power of 0 has no derivative.
TEST(NotFiniteTest, AGradientThatIsNotFiniteIsRefusedToo) {
  const std::string plan =
      "[{function: MSELoss}, {function: FocalLoss, kwargs: {use_softmax: true, gamma: 0.5}}]";
  Batch batch = RandomBatch({1, 1, 4, 4}, 1, 9);
  const absl::Status status = TryCompute(plan, batch).status();
  EXPECT_EQ(ErrorField(status), "losses[1]");
  EXPECT_THAT(std::string(status.message()), HasSubstr("is 0, but its gradient is not finite"));
  batch.losses_only = true;
  EXPECT_TRUE(TryCompute(plan, batch).ok());
  // As for values: with deep supervision, in training only.
  batch.losses_only = false;
  batch.mode = Mode::kDeepSupervision;
  EXPECT_FALSE(TryCompute(plan, batch).ok());
  batch.stage = "val";
  EXPECT_TRUE(TryCompute(plan, batch).ok());
}

TEST(NotFiniteTest, InfinitePredictionsAreClamped) {
  Batch batch = RandomBatch({1, 1, 4, 4}, 1, 9);
  batch.predictions[0].tensor[0][0][0][0] = std::numeric_limits<float>::infinity();
  const Outcome outcome = Compute("[{function: MSELoss}]", batch);
  EXPECT_TRUE(std::isfinite(outcome.total));
  EXPECT_EQ(Gradient(outcome)[0][0][0][0].item<float>(), 0);
}

// Plans of random terms on random batches, held to what must be true of any.
class RandomPlansTest : public testing::TestWithParam<int> {
 protected:
  RandomPlansTest() : random_(static_cast<unsigned>(GetParam())) {}

  int Pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  std::string Slice(int channels) {
    const int start = Pick(channels);
    const int stop = start + 1 + Pick(channels - start);
    const bool negative = Pick(2) == 0;
    return absl::StrCat("\"", negative ? start - channels : start, ":",
                        stop == channels ? "" : absl::StrCat(negative ? stop - channels : stop),
                        "\"");
  }

  std::string RandomTerm(int channels) {
    const std::string channel = absl::StrCat(Pick(channels));
    const std::string slice = Slice(channels);
    const std::string both = absl::StrCat("pred: ", slice, ", target: ", slice);
    const std::string coefficient = absl::StrCat("weight: ", 0.25 * (1 + Pick(8)));
    switch (Pick(7)) {
      case 0:
        return absl::StrCat("{function: WeightedBCEWithLogitsLoss, pos_weight: auto, ", both, ", ",
                            coefficient, "}");
      case 1:
        return absl::StrCat("{function: PerChannelBCEWithLogitsLoss, ", both, ", ", coefficient,
                            "}");
      case 2:
        return absl::StrCat("{function: SmoothL1Loss, ", both, ", kwargs: {tanh: true}, ",
                            coefficient, "}");
      case 3:
        return absl::StrCat("{function: WeightedMSELoss, ", both, ", mask: ", channel, ", ",
                            coefficient, "}");
      case 4:
        return absl::StrCat("{function: DiceLoss, ", both, ", kwargs: {sigmoid: true}, ",
                            coefficient, "}");
      case 5:
        return absl::StrCat("{function: BinaryRegularization, pred: ", slice, ", ", coefficient,
                            "}");
      default:
        return absl::StrCat("{function: ContourDistanceConsistency, pred: ", channel,
                            ", pred2: ", Pick(channels), ", ", coefficient, "}");
    }
  }

  std::mt19937 random_;
};

TEST_P(RandomPlansTest, SumsOfTermsHold) {
  const int channels = 1 + Pick(3);
  Batch batch = RandomBatch({1 + Pick(2), channels, 3, 4, 5}, channels, random_());
  if (Pick(2) == 0) batch.predictions[0].tensor.mul_(10);  // Some are clamped.
  if (Pick(2) == 0) batch.mask = (at::rand({batch.labels.size(0), 1, 3, 4, 5}) > 0.3).to(at::kByte);
  if (Pick(2) == 0) batch.label_mask = at::rand(batch.labels.sizes()) > 0.2;
  std::vector<std::string> terms;
  for (int i = 0; i < 1 + Pick(4); ++i) terms.push_back(RandomTerm(channels));
  const std::string plan = absl::StrCat("[", absl::StrJoin(terms, ", "), "]");
  SCOPED_TRACE(plan);

  batch.per_term_gradients = true;
  const Outcome outcome = Compute(plan, batch, 3);
  ASSERT_EQ(outcome.terms.size(), terms.size());

  // Terms do not know of each other; the total is their sum, and so is its gradient.
  double total = 0;
  at::Tensor gradient = at::zeros_like(batch.predictions[0].tensor);
  for (size_t i = 0; i < terms.size(); ++i) {
    const Outcome alone = Compute(absl::StrCat("[", terms[i], "]"), batch);
    EXPECT_EQ(outcome.terms[i].raw, alone.terms[0].raw);
    ASSERT_EQ(outcome.terms[i].gradients.size(), 1);
    ExpectClose(outcome.terms[i].gradients[0].tensor, Gradient(alone));
    total += alone.total;
    gradient.add_(Gradient(alone));
  }
  EXPECT_NEAR(outcome.total, total, 1e-6 * std::abs(total));
  ExpectClose(Gradient(outcome), gradient);

  // The same bits again, on any pool.
  const Outcome again = Compute(plan, batch, 1);
  EXPECT_EQ(again.total, outcome.total);
  EXPECT_EQ(again.logs, outcome.logs);
  EXPECT_TRUE(Gradient(again).equal(Gradient(outcome)));

  // Half types are their values, and their gradients are rounded once.
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    Batch half = batch;
    half.per_term_gradients = false;
    half.predictions = {{"output", batch.predictions[0].tensor.to(dtype)}};
    Batch widened = half;
    widened.predictions = {{"output", half.predictions[0].tensor.to(at::kFloat)}};
    const Outcome narrow = Compute(plan, half);
    const Outcome wide = Compute(plan, widened);
    EXPECT_NEAR(narrow.total, wide.total, 1e-5 * std::abs(wide.total));
    EXPECT_EQ(Gradient(narrow).scalar_type(), dtype);
    EXPECT_TRUE(at::allclose(Gradient(narrow).to(at::kFloat), Gradient(wide),
                             dtype == at::kHalf ? 1e-3 : 8e-3, 1e-6));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPlansTest, testing::Range(0, 60));

// Mistakes in a batch, each found before anything is computed and named by its field.
class BadBatchTest : public testing::Test {
 protected:
  BadBatchTest() { batch_ = RandomBatch({2, 3, 4, 5, 6}, 3, 11); }

  void ExpectError(absl::string_view plan, absl::string_view field, absl::string_view part = "") {
    const absl::Status status = TryCompute(plan, batch_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(ErrorField(status), field) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(part)));
  }
  at::Tensor& Prediction() { return batch_.predictions[0].tensor; }

  Batch batch_;
};

constexpr char kMse[] = "[{function: MSELoss}]";

TEST_F(BadBatchTest, Predictions) {
  const at::Tensor good = Prediction();
  Prediction() = at::Tensor();
  ExpectError(kMse, "predictions[output]");
  Prediction() = good.to(at::kDouble);
  ExpectError(kMse, "predictions[output].dtype", "float32, float16 or bfloat16");
  Prediction() = good.to(at::kLong);
  ExpectError(kMse, "predictions[output].dtype");
  Prediction() = good[0][0];
  ExpectError(kMse, "predictions[output].shape", "got [4, 5, 6]");
  Prediction() = good.unsqueeze(0);
  ExpectError(kMse, "predictions[output].shape");
  Prediction() = good.slice(2, 0, 0);
  ExpectError(kMse, "predictions[output].shape");
  Prediction() = good;
  batch_.predictions.push_back({"output", good});
  ExpectError(kMse, "predictions[output]", "twice");
  batch_.predictions[1].name = "other";
  ExpectError(kMse, "predictions", "no heads");
  batch_.predictions = {{"x", good}};
  ExpectError(kMse, "predictions", "[\"x\"]");
  batch_.predictions = {};
  ExpectError(kMse, "predictions", "at least one");
}

TEST_F(BadBatchTest, Heads) {
  const std::string plan =
      "{losses: [{function: MSELoss, pred_head: aff}], heads: {aff: {out_channels: 3}, sdt: {}}}";
  const at::Tensor good = Prediction();
  ExpectError(plan, "losses[0].pred_head", "has no heads");
  batch_.predictions = {{"aff", good}, {"sdf", good}};
  ExpectError(plan, "predictions[sdf]", "did you mean sdt?");
  batch_.predictions = {{"sdt", good}};
  ExpectError(plan, "predictions[aff]", "missing");
  batch_.predictions = {{"aff", good.slice(1, 0, 2)}};
  ExpectError(plan, "predictions[aff].shape", "3 channels");
  batch_.predictions = {{"aff", good}, {"sdt", good.slice(0, 0, 1)}};
  ExpectError(plan, "predictions[sdt].shape", "a batch of 2");
  batch_.predictions = {{"aff", good}, {"ds_1", good}};
  ExpectError(plan, "predictions[ds_1]");
  batch_.predictions = {{"aff", good}, {"sdt", good.slice(2, 0, 2)}};
  ExpectError(
      "{losses: [{function: ContourDistanceConsistency, pred_head: aff, pred: 0, pred2_head: sdt, "
      "pred2: 0}], heads: {aff: {}, sdt: {}}}",
      "predictions[sdt].shape", "spatial size");
}

TEST_F(BadBatchTest, Labels) {
  const at::Tensor good = batch_.labels;
  batch_.labels = at::Tensor();
  ExpectError(kMse, "labels", "losses[0] needs them");
  ExpectError("[{function: BinaryRegularization, pred: 0, mask: 0}]", "labels");
  EXPECT_TRUE(TryCompute("[{function: BinaryRegularization, pred: 0}]", batch_).ok());
  batch_.labels = good[0];
  ExpectError(kMse, "labels.shape");
  batch_.labels = good.slice(0, 0, 1);
  ExpectError(kMse, "labels.shape", "a batch of 2");
  batch_.labels = good.slice(3, 0, 0);
  ExpectError(kMse, "labels.shape");
  batch_.labels = at::complex(good, good);
  ExpectError(kMse, "labels.dtype");
  batch_.labels = good.slice(1, 0, 2);
  ExpectError(kMse, "losses[0].target_slice", "got 2 channels");
}

TEST_F(BadBatchTest, Slices) {
  ExpectError("[{function: MSELoss, pred: 3}]", "losses[0].pred_slice", "3 channels");
  ExpectError("[{function: MSELoss, pred: '-4:'}]", "losses[0].pred_slice");
  ExpectError("[{function: MSELoss, pred: 0, target: '2:4'}]", "losses[0].target_slice", "labels");
  ExpectError("[{function: MSELoss, mask: 5}]", "losses[0].mask_slice");
  ExpectError("[{function: WeightedMSELoss, mask: '0:2'}]", "losses[0].mask_slice", "1 or 3");
  ExpectError("[{function: CrossEntropyLoss, target: '0:3'}]", "losses[0].target_slice",
              "got 3 channels of labels, expected 1, of class indices");
  ExpectError("[{function: MSELoss, pred: 0, target: '0:2'}]", "losses[0].target_slice",
              "expected 1, as");
  ExpectError("[{function: ContourDistanceConsistency, pred: 0, pred2: 7}]",
              "losses[0].pred2_slice");
}

TEST_F(BadBatchTest, Masks) {
  batch_.mask = at::ones({2, 4, 5, 6});
  ExpectError(kMse, "mask.shape");
  batch_.mask = at::ones({3, 1, 4, 5, 6});
  ExpectError(kMse, "mask.shape", "a batch of 2 or 1");
  batch_.mask = at::ones({2, 2, 4, 5, 6});
  ExpectError(kMse, "mask.shape", "got 2 channels, expected 1 or 3");
  // A mask of the prediction's channels cannot blank one channel of class indices.
  batch_.mask = at::ones({2, 3, 4, 5, 6});
  ExpectError("[{function: CrossEntropyLoss, target: 0}]", "mask.shape");
  batch_.mask = at::Tensor();

  batch_.label_mask = at::ones({2, 1, 4, 5, 6}, at::kBool);
  ExpectError(kMse, "label_mask.shape", "that of labels");
  batch_.label_mask = at::ones({2, 3, 4, 5, 6});
  ExpectError(kMse, "label_mask.dtype", "bool or uint8");
  batch_.label_mask = at::Tensor();
  ExpectError("[{function: MSELoss, require_label_mask: true}]", "label_mask",
              "losses[0] requires it");
  batch_.label_mask = at::ones({2, 3, 4, 5, 6}, at::kBool);
  batch_.labels = at::Tensor();
  ExpectError("[{function: BinaryRegularization, pred: 0}]", "label_mask", "without labels");
}

// A mask that says what is known must say it in 0 and 1; one that weighs may hold anything.
TEST_F(BadBatchTest, MaskValues) {
  const at::Tensor binary = at::rand({2, 1, 4, 5, 6}).gt(0.3);
  batch_.mask = binary.to(at::kFloat) * std::numeric_limits<float>::quiet_NaN();
  ExpectError(kMse, "mask.data", "not finite");
  for (const at::ScalarType dtype : {at::kByte, at::kChar, at::kInt, at::kLong}) {
    batch_.mask = binary.to(dtype);
    EXPECT_TRUE(TryCompute(kMse, batch_).ok()) << dtype;
    batch_.mask = binary.to(dtype) * 2;
    ExpectError(kMse, "mask.data", "got the value 2, expected 0 and 1");
  }
  batch_.mask = binary.to(at::kInt) * -1;
  ExpectError(kMse, "mask.data", "got the value -1");
  batch_.mask = binary.to(at::kFloat) * 255;
  EXPECT_TRUE(TryCompute(kMse, batch_).ok());
  batch_.mask = at::Tensor();

  batch_.label_mask = at::full({2, 3, 4, 5, 6}, 255, at::kByte);
  ExpectError(kMse, "label_mask.data", "send label_mask > 0");
  batch_.label_mask = at::Tensor();
  batch_.labels = batch_.labels.to(at::kByte) * 255;
  EXPECT_TRUE(
      TryCompute("[{function: WeightedMSELoss, pred: 0, target: 0, mask: 1}]", batch_).ok());
}

// To MALIS an edge is known where the mask is 1, so a mask that is so nowhere makes it 0 silently.
TEST_F(BadBatchTest, MasksOfMalisAreOneSomewhere) {
  const std::string malis = "[{function: MSELoss}, {function: MalisLoss}]";
  batch_.mask = at::full({2, 1, 4, 5, 6}, 0.5);
  ExpectError(malis, "mask", "got values up to 0.5, but nowhere 1");
  EXPECT_TRUE(TryCompute(kMse, batch_).ok());
  EXPECT_TRUE(TryCompute("[{function: MalisLoss, spatial_weight_arg: none}]", batch_).ok());
  batch_.mask[1][0][3][4][5] = 1;
  EXPECT_TRUE(TryCompute(malis, batch_).ok());
  batch_.mask.zero_();
  EXPECT_TRUE(TryCompute(malis, batch_).ok());
  // Before it is resized.
  batch_.mask = at::full({2, 1, 8, 10, 12}, 0.5);
  ExpectError(malis, "mask");
  batch_.mask[1][0][7][9][11] = 1;
  EXPECT_TRUE(TryCompute(malis, batch_).ok());
  batch_.mask = at::Tensor();

  const std::string own = "[{function: MalisLoss, target: '0:3', mask: 3}]";
  const at::Tensor affinities = batch_.labels;
  batch_.labels = at::cat({affinities, at::full({2, 1, 4, 5, 6}, 2)}, 1);
  ExpectError(own, "losses[0].mask_slice", "got values up to 2");
  batch_.labels[0][3][0][0][0] = 1;
  EXPECT_TRUE(TryCompute(own, batch_).ok());
  // The only edges that are 1 may be those that another mask leaves out.
  batch_.mask = at::ones({2, 1, 4, 5, 6}, at::kBool);
  batch_.mask[0][0][0][0][0] = false;
  ExpectError(own, "losses[0].mask_slice");
}

TEST_F(BadBatchTest, Segmentation) {
  const char* malis = "[{function: MalisLoss}]";
  batch_.gt_seg = at::ones({2, 4, 5, 6});
  ExpectError(malis, "gt_seg.dtype");
  batch_.gt_seg = at::ones({4, 5, 6}, at::kInt);
  ExpectError(malis, "gt_seg.shape", "[2, 4, 5, 6] or [2, 1, 4, 5, 6]");
  batch_.gt_seg = at::ones({2, 4, 5, 5}, at::kInt);
  ExpectError(malis, "gt_seg.shape");
  EXPECT_TRUE(TryCompute(kMse, batch_).ok());
  Prediction() = Prediction()[0];
  Prediction() = at::randn({2, 3, 5, 6});
  batch_.labels = at::zeros({2, 3, 5, 6});
  ExpectError(malis, "predictions[output].shape", "[B, C, Z, Y, X]");
}

TEST_F(BadBatchTest, Crops) {
  ExpectError("[{function: MalisLoss, kwargs: {malis_crop_size: 5}}]",
              "losses[0].kwargs.malis_crop_size", "[2, 3, 4, 5, 6]");
  const char* malis = "[{function: MalisLoss, kwargs: {malis_crop_size: [4, 2, 2]}}]";
  batch_.malis_crop_origins = {{0, 0, 0}, {0, 0, 0}};
  ExpectError(malis, "malis_crop.origins", "got 2, expected 1");
  batch_.malis_crop_origins = {{0, 0, 5}};
  ExpectError(malis, "malis_crop.origins[0].x", "got 5, expected 0 to 4");
  batch_.malis_crop_origins = {{0, -1, 0}};
  ExpectError(malis, "malis_crop.origins[0].y");
  batch_.malis_crop_origins = {{std::numeric_limits<int64_t>::max(), 0, 0}};
  ExpectError(malis, "malis_crop.origins[0].z");
  ExpectError(kMse, "malis_crop.origins", "no term has a crop");
}

TEST_F(BadBatchTest, Balancing) {
  batch_.log_vars = {0};
  ExpectError(kMse, "log_vars", "not uncertainty");
  const char* uncertain =
      "{losses: [{function: MSELoss}], loss_balancing: {strategy: uncertainty}}";
  batch_.log_vars = {0, 0};
  ExpectError(uncertain, "log_vars", "one a term");
  batch_.log_vars = {std::numeric_limits<double>::infinity()};
  ExpectError(uncertain, "log_vars[0]");
  batch_.log_vars = {};
  batch_.task_weights = {1};
  ExpectError(uncertain, "task_weights", "not gradnorm");
  batch_.task_weights = {};
  batch_.per_term_gradients = true;
  batch_.losses_only = true;
  ExpectError(kMse, "per_term_gradients");
}

TEST_F(BadBatchTest, ErrorsOfLossesNameTheRequestsFields) {
  batch_.labels[0][0][0][0][0] = 9;
  ExpectError("[{function: CrossEntropyLoss, target: 0}]", "labels", "losses[0], CrossEntropyLoss");
  ExpectError("[{function: MSELoss}, {function: SoftClDiceLoss, pred: 0, target: 0}]",
              "predictions[output]", "losses[1], SoftClDiceLoss");
}

}  // namespace
}  // namespace lossd
