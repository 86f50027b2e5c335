#include "lossd/compute/term_inputs.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "lossd/plan/plan_reader.h"
#include "lossd/sweep/input_reader.h"

namespace lossd {
namespace {

constexpr double kClampMin = -20;

// A tensor of one sample, [1, C, 1, X], from its channels.
at::Tensor Channels(const std::vector<std::vector<float>>& channels) {
  std::vector<at::Tensor> rows;
  rows.reserve(channels.size());
  for (const auto& channel : channels) rows.push_back(torch::tensor(channel));
  return at::stack(rows).view({1, static_cast<int64_t>(channels.size()), 1, -1});
}

void ExpectTensor(const at::Tensor& tensor, const std::vector<std::vector<float>>& channels) {
  ASSERT_TRUE(tensor.defined());
  EXPECT_TRUE(tensor.to(at::kFloat).equal(Channels(channels))) << tensor;
}

// The inputs of the first term of a plan at its coarsest scale, masks not yet applied.
LossInputs MaskedInputs(absl::string_view text, const Batch& batch) {
  CheckedPlan plan;
  const auto read = ReadPlan(text);
  EXPECT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(CheckPlan(*read, &plan).empty());
  const auto schedule = MakeSchedule(plan, batch);
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  const Evaluation& evaluation = schedule->scales.back().evaluations.front();
  TaskPool pool(2);
  return MakeTermInputs(evaluation, batch, std::nullopt, kClampMin, pool);
}

LossInputs Inputs(absl::string_view text, const Batch& batch) {
  TaskPool pool(2);
  return ApplyMasks(MaskedInputs(text, batch), pool);
}

Batch TwoChannels() {
  Batch batch;
  batch.predictions = {{"output", Channels({{1, 2, 3, 4}, {5, 6, 7, 8}})}};
  batch.labels = Channels({{0, 1, 0, 0}, {1, 0, 1, 1}});
  return batch;
}

TEST(TermInputsTest, SelectsChannels) {
  const Batch batch = TwoChannels();
  const LossInputs inputs =
      Inputs("[{function: WeightedBCEWithLogitsLoss, pred: -1, target: 0}]", batch);
  ExpectTensor(inputs.pred, {{5, 6, 7, 8}});
  ExpectTensor(inputs.target, {{0, 1, 0, 0}});
  EXPECT_FALSE(inputs.weight.defined());
  EXPECT_FALSE(MaskedInputs("[{function: DiceLoss}]", batch).known.defined());
  EXPECT_EQ(inputs.pos_weight, std::nullopt);
}

TEST(TermInputsTest, BalancesClassesByDefault) {
  Batch batch = TwoChannels();
  const std::string term = "[{function: WeightedMSELoss, pred: 0, target: 0}]";
  // One foreground voxel of four.
  ExpectTensor(Inputs(term, batch).weight, {{4.F / 6, 2, 4.F / 6, 4.F / 6}});
  // The batch's mask takes part in the count and in the weight.
  batch.mask = Channels({{1, 1, 0, 0}});
  ExpectTensor(Inputs(term, batch).weight, {{1, 1, 0, 0}});
  batch.mask = Channels({{1, 0.5, 1, 0}});
  ExpectTensor(Inputs(term, batch).weight, {{0.75, 0.75, 0.75, 0}});
  // Without background there is nothing to balance.
  batch.mask = Channels({{0, 1, 0, 0}});
  ExpectTensor(Inputs(term, batch).weight, {{0, 1, 0, 0}});
}

TEST(TermInputsTest, AFixedPosWeightIsForForeground) {
  const Batch batch = TwoChannels();
  ExpectTensor(Inputs("[{function: SmoothL1Loss, pos_weight: 2.5}]", batch).weight,
               {{1, 2.5, 1, 1}, {2.5, 1, 2.5, 2.5}});
  EXPECT_FALSE(Inputs("[{function: SmoothL1Loss, pos_weight: 1}]", batch).weight.defined());
  EXPECT_FALSE(Inputs("[{function: PerChannelBCEWithLogitsLoss}]", batch).weight.defined());
}

TEST(TermInputsTest, ATermMaskReplacesTheBalance) {
  Batch batch = TwoChannels();
  const std::string term = "[{function: WeightedMSELoss, pred: 0, target: 0, mask: 1}]";
  ExpectTensor(Inputs(term, batch).weight, {{1, 0, 1, 1}});
  batch.mask = Channels({{0.5, 1, 1, 0}});
  ExpectTensor(Inputs(term, batch).weight, {{0.5, 0, 1, 0}});
}

TEST(TermInputsTest, LabelMaskWeighsAndBlanksTargets) {
  Batch batch = TwoChannels();
  batch.label_mask = Channels({{1, 0, 1, 1}, {1, 1, 0, 1}}).to(at::kByte);
  const LossInputs inputs = Inputs("[{function: WeightedBCEWithLogitsLoss}]", batch);
  ExpectTensor(inputs.target, {{0, 0, 0, 0}, {1, 0, 0, 1}});
  ExpectTensor(inputs.weight, {{1, 0, 1, 1}, {1, 1, 0, 1}});
  // The mask of the target's channels.
  ExpectTensor(Inputs("[{function: WeightedBCEWithLogitsLoss, pred: 0, target: 1}]", batch).weight,
               {{1, 1, 0, 1}});
}

TEST(TermInputsTest, LossesWithoutAWeightAreBlankedOutside) {
  Batch batch = TwoChannels();
  batch.mask = Channels({{1, 0, 2, 0}});
  const LossInputs inputs = Inputs("[{function: DiceLoss, kwargs: {sigmoid: true}}]", batch);
  ExpectTensor(inputs.pred, {{1, -20, 3, -20}, {5, -20, 7, -20}});
  ExpectTensor(inputs.target, {{0, 0, 0, 0}, {1, 0, 1, 0}});
  ExpectTensor(MaskedInputs("[{function: DiceLoss}]", batch).known, {{1, 0, 1, 0}});
  EXPECT_FALSE(inputs.weight.defined());
  // So is a loss whose plan takes its weight away.
  const LossInputs none = Inputs("[{function: WeightedMSELoss, spatial_weight_arg: none}]", batch);
  ExpectTensor(none.pred, {{1, -20, 3, -20}, {5, -20, 7, -20}});
  EXPECT_FALSE(none.weight.defined());
}

TEST(TermInputsTest, WeightedBceTakesItsPosWeightFromPlanOrLoss) {
  Batch batch = TwoChannels();
  const auto pos_weight = [&](absl::string_view entries) {
    return Inputs(absl::StrCat("[{function: WeightedBCEWithLogitsLoss, pred: 0, target: 0, ",
                               entries, "}]"),
                  batch)
        .pos_weight;
  };
  EXPECT_EQ(pos_weight("pos_weight: auto"), 3);
  EXPECT_EQ(pos_weight("pos_weight: auto, kwargs: {pos_weight: 7}"), 3);
  EXPECT_EQ(pos_weight("pos_weight: 4"), 4);
  EXPECT_EQ(pos_weight("pos_weight: 4, kwargs: {pos_weight: 7}"), std::nullopt);
  EXPECT_EQ(pos_weight("pos_weight: 1"), std::nullopt);
  batch.mask = Channels({{1, 1, 1, 0}});
  EXPECT_EQ(pos_weight("pos_weight: auto"), 2);
  batch.label_mask = at::ones_like(batch.labels).to(at::kBool);
  batch.label_mask[0][0][0][1] = false;
  EXPECT_EQ(pos_weight("pos_weight: auto"), 1);
}

TEST(TermInputsTest, RegularisersTakeTheMasks) {
  Batch batch = TwoChannels();
  batch.mask = Channels({{1, 0.5, 0, 1}});
  batch.label_mask = at::zeros_like(batch.labels).to(at::kBool);
  const LossInputs only = Inputs("[{function: BinaryRegularization, pred: 0, mask: 1}]", batch);
  ExpectTensor(only.weight, {{1, 0, 0, 1}});
  EXPECT_FALSE(only.target.defined());
  const LossInputs both =
      Inputs("[{function: ContourDistanceConsistency, pred: 0, pred2: 1}]", batch);
  ExpectTensor(both.pred2, {{5, 6, 7, 8}});
  ExpectTensor(both.weight, {{1, 0.5, 0, 1}});
  EXPECT_FALSE(
      Inputs("[{function: NonOverlapRegularization, pred: '0:2'}]", batch).weight.defined());
}

TEST(TermInputsTest, ResizesEachTensorInItsOwnWay) {
  Batch batch;
  batch.mode = Mode::kDeepSupervision;
  batch.predictions = {{"output", Channels({{1, 2, 3, 4}})}, {"ds_1", Channels({{1, 2}})}};
  batch.labels = Channels({{0.2F, 0.4F, 1, 0}, {2, 2, 4, 8}, {1, 0, 1, 1}});
  batch.mask = Channels({{0, 1, 3, 0}});
  batch.label_mask = Channels({{1, 1, 1, 0}, {1, 1, 1, 1}, {0, 0, 0, 0}}).to(at::kBool);
  // Dense targets are interpolated, the batch's mask is not, and a voxel is known only if all under
  // it are.
  const LossInputs dense =
      Inputs("[{function: WeightedBCEWithLogitsLoss, target: 0, mask: 2}]", batch);
  EXPECT_TRUE(at::allclose(dense.target, Channels({{0.3F, 0}})));
  ExpectTensor(dense.weight, {{0, 0}});
  batch.mask = at::Tensor();
  ExpectTensor(Inputs("[{function: WeightedBCEWithLogitsLoss, target: 0, mask: 2}]", batch).weight,
               {{0.5, 0}});
  ExpectTensor(Inputs("[{function: WeightedBCEWithLogitsLoss, target: 0}]", batch).weight,
               {{1, 0}});
  ExpectTensor(Inputs("[{function: WeightedBCEWithLogitsLoss, target: 1}]", batch).target,
               {{2, 6}});
  // Class indices are not.
  ExpectTensor(
      Inputs("[{function: WeightedBCEWithLogitsLoss, target: 1, target_kind: class_index}]", batch)
          .target,
      {{2, 4}});
}

TEST(TermInputsTest, ComputesOnDoublesAsFloats) {
  Batch batch = TwoChannels();
  batch.labels = batch.labels.to(at::kDouble);
  batch.mask = at::ones({1, 1, 1, 4}, at::kDouble);
  const LossInputs inputs = Inputs("[{function: WeightedMSELoss, mask: 0}]", batch);
  EXPECT_EQ(inputs.target.scalar_type(), at::kFloat);
  EXPECT_EQ(inputs.weight.scalar_type(), at::kFloat);
}

TEST(TermInputsTest, TheSegmentationGoesToStandardModeOnly) {
  Batch batch;
  batch.predictions = {{"output", at::zeros({1, 3, 4, 4, 4})}};
  batch.labels = at::zeros({1, 3, 4, 4, 4});
  batch.gt_seg = at::zeros({1, 4, 4, 4}, at::kLong);
  EXPECT_TRUE(Inputs("[{function: MalisLoss}]", batch).gt_seg.defined());
  EXPECT_FALSE(Inputs("[{function: MSELoss}]", batch).gt_seg.defined());
  batch.mode = Mode::kDeepSupervision;
  EXPECT_FALSE(Inputs("[{function: MalisLoss}]", batch).gt_seg.defined());
}

}  // namespace
}  // namespace lossd
