#include "lossd/plan/plan_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/configured.h"
#include "lossd/losses/malis_loss.h"
#include "lossd/losses/pointwise/l1.h"
#include "lossd/losses/pointwise/mse.h"
#include "lossd/losses/pointwise/smooth_l1.h"
#include "lossd/losses/registry.h"
#include "lossd/plan/explain.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Plan Read(const std::string& text) {
  const absl::StatusOr<Plan> plan = ReadPlan(text);
  EXPECT_TRUE(plan.ok()) << plan.status() << " in " << text;
  return plan.ok() ? *plan : Plan();
}

// A plan of terms, each in YAML.
Plan Terms(const std::vector<std::string>& terms, const std::string& frame = "") {
  std::string text = "losses:\n";
  for (const std::string& term : terms) absl::StrAppend(&text, "- {", term, "}\n");
  return Read(absl::StrCat(text, frame));
}

CheckedPlan Checked(const Plan& plan) {
  CheckedPlan checked;
  for (const absl::Status& problem : CheckPlan(plan, &checked)) ADD_FAILURE() << problem;
  return checked;
}

std::vector<std::string> Fields(const Plan& plan) {
  CheckedPlan checked;
  std::vector<std::string> fields;
  for (const absl::Status& problem : CheckPlan(plan, &checked)) {
    fields.push_back(ErrorField(problem).value_or("none"));
  }
  return fields;
}

std::string Message(const Plan& plan) {
  CheckedPlan checked;
  const auto problems = CheckPlan(plan, &checked);
  EXPECT_EQ(problems.size(), 1);
  return problems.empty() ? "" : std::string(problems[0].message());
}

constexpr char kMse[] = "function: WeightedMSELoss";
constexpr char kHeads[] =
    "heads: {aff: {out_channels: 3, target_slice: ':3'}, sdt: {target_slice: 3}}\n";

TEST(PlanCheckTest, ResolvesWhatAPlanLeavesOpen) {
  const CheckedPlan checked = Checked(Terms({"function: MalisLoss", "function: L1Loss"}));
  EXPECT_TRUE((checked.plan == Plan{.losses = {{.loss = Configured(Malis()),
                                                .call_kind = CallKind::kPredTarget,
                                                .target_kind = TargetKind::kDense,
                                                .spatial_weight_arg = SpatialWeightArg::kMask},
                                               {.loss = Configured(L1()),
                                                .call_kind = CallKind::kPredTarget,
                                                .target_kind = TargetKind::kDense,
                                                .spatial_weight_arg = SpatialWeightArg::kNone}}}));
  EXPECT_EQ(checked.terms[1].name, "term_1");
  EXPECT_EQ(checked.terms[1].path, "losses[1]");
  EXPECT_EQ(checked.terms[1].traits->name, "L1Loss");
}

TEST(PlanCheckTest, CheckingAResolvedPlanChangesNothing) {
  const CheckedPlan once =
      Checked(Terms({"function: DiceLoss, kwargs: {sigmoid: true}",
                     "function: SmoothL1Loss, pred_head: sdt", "function: CrossEntropyLoss"},
                    absl::StrCat("primary_head: aff\n", kHeads)));
  EXPECT_TRUE(Checked(once.plan).plan == once.plan);
}

TEST(PlanCheckTest, PosWeightDefaultsByLoss) {
  const auto resolved = [](const std::string& loss) {
    return Checked(Terms({absl::StrCat("function: ", loss)})).terms[0].spec.pos_weight;
  };
  EXPECT_TRUE(resolved("WeightedMSELoss")->automatic());
  EXPECT_TRUE(resolved("ScnpLoss")->automatic());
  EXPECT_EQ(resolved("PerChannelBCEWithLogitsLoss")->value, 1);
  EXPECT_EQ(resolved("WeightedBCEWithLogitsLoss")->value, 1);
  EXPECT_FALSE(resolved("DiceLoss").has_value());
}

TEST(PlanCheckTest, ResolvesHeadsAndTheirTargets) {
  const CheckedPlan checked = Checked(
      Terms({kMse, absl::StrCat(kMse, ", pred_head: sdt"),
             absl::StrCat(kMse, ", pred_head: sdt, target_slice: '5:'"),
             "function: ForegroundDistanceConsistency, pred: ':1', pred2: ':1', pred2_head: sdt",
             "function: ContourDistanceConsistency, pred: ':1', pred2: '1:'"},
            absl::StrCat("primary_head: aff\n", kHeads)));
  EXPECT_EQ(checked.terms[0].spec.pred_head, "aff");
  EXPECT_EQ(checked.terms[0].spec.target_slice->stop, 3);
  EXPECT_FALSE(checked.terms[0].names_pred_head);
  EXPECT_EQ(checked.terms[1].spec.target_slice->start, 3);
  EXPECT_TRUE(checked.terms[1].names_pred_head);
  EXPECT_EQ(checked.terms[2].spec.target_slice->start, 5);
  EXPECT_EQ(checked.terms[3].spec.pred2_head, "sdt");
  EXPECT_FALSE(checked.terms[3].spec.target_slice.has_value());
  EXPECT_EQ(checked.terms[4].spec.pred2_head, "aff");
  // The only head is the default.
  EXPECT_EQ(Checked(Terms({kMse}, "heads: {a: {}}")).terms[0].spec.pred_head, "a");
}

TEST(PlanCheckTest, RefusesMistakesInTheFrame) {
  EXPECT_THAT(Fields(Plan()), ElementsAre("losses"));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{clamp_min: 3, clamp_max: 2}", "clamp_max"},
      {"{clamp_min: 21}", "clamp_max"},
      {"{primary_head: aff}", "primary_head"},
      {"{heads: {a: {out_channels: 0}}}", "heads.a.out_channels"},
      {"{heads: {a: {target_slice: '2:2'}}}", "heads.a.target_slice"},
      {"{heads: {ds_1: {}}}", "heads"},
      {"{heads: {'': {}}}", "heads"},
  };
  for (const auto& [frame, field] : cases) {
    Plan plan = Read(absl::StrCat("{losses: [{", kMse, "}], ", frame.substr(1)));
    EXPECT_THAT(Fields(plan), ElementsAre(field)) << frame;
  }
}

// A document cannot say them, a program can.
TEST(PlanCheckTest, RefusesNumbersThatFloat32DoesNotHold) {
  Plan plan = Terms({kMse});
  plan.clamp_min = std::nan("");
  plan.clamp_max = 1e39;
  plan.deep_supervision_weights = {1, INFINITY};
  plan.loss_balancing.gradnorm_alpha = std::nan("");
  plan.losses[0].coefficient = INFINITY;
  EXPECT_THAT(Fields(plan), ElementsAre("clamp_min", "clamp_max", "deep_supervision_weights[1]",
                                        "loss_balancing.gradnorm_alpha", "losses[0].coefficient"));
  plan = {.losses = {{.loss = Configured(SmoothL1{.beta = 1e39})}}};
  EXPECT_THAT(Fields(plan), ElementsAre("losses[0].kwargs.beta"));
}

TEST(PlanCheckTest, RefusesMistakesInTerms) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"function: GANLoss", "function"},
      {"function: SmoothL1Loss, kwargs: {beta: -1}", "kwargs.beta"},
      {"function: WeightedMSELoss, kwargs: {reduction: none}", "kwargs.reduction"},
      {"function: MSELoss, kwargs: {reduce: false}", "kwargs.reduce"},
      {"function: MalisLoss, kwargs: {malis_crop_size: [2, 0, 2]}", "kwargs.malis_crop_size"},
      {absl::StrCat(kMse, ", call: pred_only, pred: 0"), "call_kind"},
      {absl::StrCat(kMse, ", target_kind: none"), "target_kind"},
      {absl::StrCat(kMse, ", spatial_weight_arg: mask"), "spatial_weight_arg"},
      {absl::StrCat(kMse, ", pos_weight: 0"), "pos_weight"},
      {absl::StrCat(kMse, ", pos_weight: -1"), "pos_weight"},
      {"function: MalisLoss, pos_weight: 2", "pos_weight"},
      {"function: MSELoss, pos_weight: auto", "pos_weight"},
      {absl::StrCat(kMse, ", spatial_weight_arg: none, pos_weight: 2"), "pos_weight"},
      {absl::StrCat(kMse, ", pred: '2:1'"), "pred_slice"},
      {absl::StrCat(kMse, ", target: ':0'"), "target_slice"},
      {absl::StrCat(kMse, ", mask: '-1:-1'"), "mask_slice"},
      {absl::StrCat(kMse, ", pred2: 0"), "pred2_slice"},
      {absl::StrCat(kMse, ", pred2_head: a"), "pred2_head"},
      {absl::StrCat(kMse, ", pred_head: a"), "pred_head"},
      {"function: BinaryRegularization", "pred_slice"},
      {"function: ContourDistanceConsistency, pred: ':1'", "pred2_slice"},
  };
  for (const auto& [term, field] : cases) {
    EXPECT_THAT(Fields(Terms({kMse, term})), ElementsAre(absl::StrCat("losses[1].", field)))
        << term;
  }
  EXPECT_THAT(Fields({.losses = {Term()}}), ElementsAre("losses[0].function"));
}

TEST(PlanCheckTest, SaysOnceThatATermIsAScalar) {
  for (const LossConfig& loss : AllLosses()) {
    LossConfig map = loss;
    for (const Option& option : map.Options()) {
      if (option.name != "reduction") continue;
      std::get<WordField>(option.field).Set(static_cast<size_t>(Reduction::kNone));
      EXPECT_EQ(Message({.losses = {{.loss = map}}}),
                "losses[0].kwargs.reduction: got none, expected mean or sum, as a term is a scalar")
          << loss.traits().name;
    }
  }
}

TEST(PlanCheckTest, RefusesTermsWithoutEnd) {
  Plan plan;
  plan.losses.assign(256, {.loss = Configured(MSE())});
  EXPECT_THAT(Fields(plan), ElementsAre());
  plan.losses.emplace_back();
  EXPECT_THAT(Fields(plan), ElementsAre("losses"));
}

TEST(PlanCheckTest, RefusesHeadsWithoutEnd) {
  Plan plan = Terms({kMse}, "primary_head: head0");
  for (int i = 0; i < 256; ++i) plan.heads[absl::StrCat("head", i)];
  EXPECT_THAT(Fields(plan), ElementsAre());
  plan.heads["another"];
  EXPECT_THAT(Fields(plan), ElementsAre("heads"));
}

TEST(PlanCheckTest, RefusesMistakesAboutHeads) {
  const auto fields = [](const std::string& term, const std::string& frame = "") {
    return Fields(Terms({term}, absl::StrCat(frame, kHeads)));
  };
  EXPECT_THAT(fields(kMse), ElementsAre("losses[0].pred_head"));
  EXPECT_THAT(fields(absl::StrCat(kMse, ", pred_head: afff")), ElementsAre("losses[0].pred_head"));
  EXPECT_THAT(fields(kMse, "primary_head: x\n"), ElementsAre("primary_head"));
  EXPECT_THAT(fields(absl::StrCat(kMse, ", pred_head: aff, pred: ':4'")),
              ElementsAre("losses[0].pred_slice"));
  EXPECT_THAT(fields("function: ContourDistanceConsistency, pred_head: sdt, pred2_head: aff, "
                     "pred: 0, pred2: '3:'"),
              ElementsAre("losses[0].pred2_slice"));
  EXPECT_THAT(Message(Terms({absl::StrCat(kMse, ", pred_head: afff")}, kHeads)),
              HasSubstr("expected one of aff, sdt; did you mean aff?"));
}

TEST(PlanCheckTest, FindsEveryMistake) {
  Plan plan = Terms({"function: MSELoss, pred_head: a, pos_weight: 1",
                     "function: SoftClDiceLoss, kwargs: {smooth: 0, num_iters: 101}"},
                    "clamp_min: 30");
  plan.losses[0].coefficient = INFINITY;
  plan.losses.emplace_back();
  EXPECT_THAT(Fields(plan), testing::UnorderedElementsAre(
                                "clamp_max", "losses[0].coefficient", "losses[0].pred_head",
                                "losses[0].pos_weight", "losses[1].kwargs.num_iters",
                                "losses[1].kwargs.smooth", "losses[2].function"));
}

TEST(PlanCheckTest, EveryUsableLossMakesATerm) {
  for (const LossConfig& loss : AllLosses()) {
    Term term = {.loss = loss, .pred_slice = ChannelSlice{.stop = 1}};
    if (loss.traits().call_kind == CallKind::kPredPred) term.pred2_slice = ChannelSlice{.start = 1};
    const auto expected = loss.traits().usable_in_plan
                              ? std::vector<std::string>{}
                              : std::vector<std::string>{"losses[0].function"};
    EXPECT_EQ(Fields({.losses = {term}}), expected) << loss.traits().name;
  }
}

TEST(ExplainTest, SaysWhatATermDoesAndNeeds) {
  const auto explain = [](const std::string& term) {
    return ExplainTerm(Checked(Terms({term})).terms[0]);
  };
  EXPECT_EQ(
      explain("function: MalisLoss, kwargs: {malis_crop_size: 64}, weight: 0.5, pred: ':3'"),
      "term_0: 0.5 × MalisLoss between channels :3 of the prediction and all channels of "
      "labels. Edges are known where the product of mask and label_mask if given is 1. Looks at "
      "one crop of 64 × 64 × 64 a call. Needs predictions, labels (3 channels of each, one an "
      "offset); "
      "takes gt_seg.");
  EXPECT_EQ(
      explain("function: WeightedMSELoss, require_label_mask: true, apply_deep_supervision: false"),
      "term_0: 1 × WeightedMSELoss between all channels of the prediction and all channels of "
      "labels. Weighted by class balance counted from the batch, mask and label_mask if given. "
      "Needs predictions, labels, label_mask. Under deep supervision, at the finest scale only.");
  EXPECT_THAT(explain("function: WeightedMSELoss, kwargs: {tanh: true, reduction: sum}"),
              HasSubstr("1 × WeightedMSELoss with reduction sum, tanh true between all channels"));
  EXPECT_THAT(explain("function: WeightedMSELoss, pos_weight: 3"),
              HasSubstr("Weighted by 3 on foreground, mask"));
  EXPECT_THAT(explain("function: WeightedMSELoss, mask: '-1:'"),
              HasSubstr("Weighted by channels -1: of labels, mask"));
  EXPECT_THAT(explain("function: WeightedBCEWithLogitsLoss, pos_weight: auto"),
              HasSubstr("Positives weigh background / foreground"));
  EXPECT_THAT(explain("function: MalisLoss, kwargs: {reduction: mean}"),
              HasSubstr("Warning: few edges have a loss"));
  EXPECT_THAT(explain("function: MalisLoss"), testing::Not(HasSubstr("Warning")));
  EXPECT_THAT(
      explain("function: WeightedBCEWithLogitsLoss, kwargs: {pos_weight: 3}, pos_weight: 2"),
      HasSubstr("Positives weigh 3."));
  EXPECT_THAT(explain("function: CrossEntropyLoss"),
              testing::AllOf(HasSubstr("taken as class indices"), HasSubstr("held constant")));
  EXPECT_EQ(explain("function: NonOverlapRegularization, pred: ':2'"),
            "term_0: 1 × NonOverlapRegularization on channels :2 of the prediction. Takes no mask. "
            "Needs predictions.");
  EXPECT_THAT(explain("function: ContourDistanceConsistency, pred: ':1', pred2: '1:'"),
              HasSubstr("between channels :1 of the prediction and channels 1: of the prediction. "
                        "Weighted by mask if given."));
}

}  // namespace
}  // namespace lossd
