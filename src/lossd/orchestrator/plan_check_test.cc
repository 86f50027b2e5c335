#include "lossd/orchestrator/plan_check.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/orchestrator/explain.h"

namespace lossd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Plan Typed(const std::string& text) {
  v1::Plan plan;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &plan)) << text;
  return plan;
}

CheckedPlan Checked(const std::string& text) {
  CheckedPlan checked;
  for (const absl::Status& problem : CheckPlan(Typed(text), &checked)) {
    ADD_FAILURE() << problem << " in " << text;
  }
  return checked;
}

std::vector<std::string> Fields(const v1::Plan& plan) {
  CheckedPlan checked;
  std::vector<std::string> fields;
  for (const absl::Status& problem : CheckPlan(plan, &checked)) {
    fields.push_back(ErrorField(problem).value_or("none"));
  }
  return fields;
}

std::string Message(const std::string& text) {
  CheckedPlan checked;
  const auto problems = CheckPlan(Typed(text), &checked);
  EXPECT_EQ(problems.size(), 1);
  return problems.empty() ? "" : std::string(problems[0].message());
}

constexpr char kMse[] = "loss { weighted_mse {} }";
constexpr char kHeads[] =
    "heads { key: 'aff' value { out_channels: 3 target_slice { stop: 3 } } } "
    "heads { key: 'sdt' value { target_slice { start: 3 stop: 4 } } }";

TEST(PlanCheckTest, ResolvesWhatAPlanLeavesOpen) {
  const CheckedPlan checked = Checked("losses { loss { malis {} } } losses { loss { l1 {} } }");
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(checked.plan, Typed(R"(
        losses {
          loss { malis { reduction: REDUCTION_SUM sigmoid: true } }
          coefficient: 1 call_kind: CALL_KIND_PRED_TARGET target_kind: TARGET_KIND_DENSE
          spatial_weight_arg: SPATIAL_WEIGHT_ARG_MASK apply_deep_supervision: true
          require_label_mask: false }
        losses {
          loss { l1 { reduction: REDUCTION_MEAN } }
          coefficient: 1 call_kind: CALL_KIND_PRED_TARGET target_kind: TARGET_KIND_DENSE
          spatial_weight_arg: SPATIAL_WEIGHT_ARG_NONE apply_deep_supervision: true
          require_label_mask: false }
        clamp_min: -20 clamp_max: 20
        loss_balancing { strategy: BALANCING_STRATEGY_NONE gradnorm_alpha: 0.5 gradnorm_lambda: 1 }
      )")))
      << checked.plan.DebugString();
  EXPECT_EQ(checked.terms[1].name, "term_1");
  EXPECT_EQ(checked.terms[1].path, "losses[1]");
  EXPECT_EQ(checked.terms[1].traits->name, "L1Loss");
}

TEST(PlanCheckTest, CheckingAResolvedPlanChangesNothing) {
  const CheckedPlan once = Checked(absl::StrCat(
      "losses { loss { dice { sigmoid: true } } } losses { loss { smooth_l1 {} } pred_head: 'sdt' }"
      "losses { loss { cross_entropy {} } } primary_head: 'aff' ",
      kHeads));
  CheckedPlan twice;
  EXPECT_THAT(CheckPlan(once.plan, &twice), ElementsAre());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(once.plan, twice.plan));
}

TEST(PlanCheckTest, PosWeightDefaultsByLoss) {
  const auto resolved = [](const std::string& loss) {
    return Checked(absl::StrCat("losses { loss { ", loss, " } }")).terms[0].spec.pos_weight();
  };
  EXPECT_TRUE(resolved("weighted_mse {}").automatic());
  EXPECT_TRUE(resolved("scnp {}").automatic());
  EXPECT_EQ(resolved("per_channel_bce_with_logits {}").value(), 1);
  EXPECT_EQ(resolved("weighted_bce_with_logits {}").value(), 1);
  EXPECT_FALSE(Checked("losses { loss { dice {} } }").terms[0].spec.has_pos_weight());
}

TEST(PlanCheckTest, ResolvesHeadsAndTheirTargets) {
  const CheckedPlan checked = Checked(absl::StrCat(
      "losses { ", kMse, " } losses { ", kMse, " pred_head: 'sdt' } losses { ", kMse,
      " pred_head: 'sdt' target_slice { start: 5 } } losses { loss { "
      "foreground_distance_consistency "
      "{} } pred_slice { stop: 1 } pred2_slice { stop: 1 } pred2_head: 'sdt' } losses { loss { "
      "contour_distance_consistency {} } pred_slice { stop: 1 } pred2_slice { start: 1 } } "
      "primary_head: 'aff' ",
      kHeads));
  EXPECT_EQ(checked.terms[0].spec.pred_head(), "aff");
  EXPECT_EQ(checked.terms[0].spec.target_slice().stop(), 3);
  EXPECT_FALSE(checked.terms[0].names_pred_head);
  EXPECT_EQ(checked.terms[1].spec.target_slice().start(), 3);
  EXPECT_TRUE(checked.terms[1].names_pred_head);
  EXPECT_EQ(checked.terms[2].spec.target_slice().start(), 5);
  EXPECT_EQ(checked.terms[3].spec.pred2_head(), "sdt");
  EXPECT_FALSE(checked.terms[3].spec.has_target_slice());
  EXPECT_EQ(checked.terms[4].spec.pred2_head(), "aff");
  // The only head is the default.
  EXPECT_EQ(Checked(absl::StrCat("losses { ", kMse, " } heads { key: 'a' value {} }"))
                .terms[0]
                .spec.pred_head(),
            "a");
}

TEST(PlanCheckTest, RefusesMistakesInTheFrame) {
  const std::string loss = absl::StrCat("losses { ", kMse, " } ");
  EXPECT_THAT(Fields(Typed("")), ElementsAre("losses"));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"clamp_min: 3 clamp_max: 2", "clamp_max"},
      {"clamp_min: 21", "clamp_max"},
      {"clamp_min: nan", "clamp_min"},
      {"clamp_max: inf", "clamp_max"},
      {"clamp_max: 1e39", "clamp_max"},
      {"deep_supervision_weights: [1, inf]", "deep_supervision_weights[1]"},
      {"loss_balancing { gradnorm_alpha: nan }", "loss_balancing.gradnorm_alpha"},
      {"primary_head: 'aff'", "primary_head"},
      {"heads { key: 'a' value { out_channels: 0 } }", "heads.a.out_channels"},
      {"heads { key: 'a' value { target_slice { start: 2 stop: 2 } } }", "heads.a.target_slice"},
      {"heads { key: 'ds_1' value {} }", "heads"},
      {"heads { key: '' value {} }", "heads"},
  };
  for (const auto& [frame, field] : cases) {
    EXPECT_THAT(Fields(Typed(absl::StrCat(loss, frame))), ElementsAre(field)) << frame;
  }
}

TEST(PlanCheckTest, RefusesMistakesInTerms) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "function"},
      {"loss {}", "function"},
      {"loss { gan {} }", "function"},
      {"loss { smooth_l1 { beta: -1 } }", "kwargs.beta"},
      {"loss { weighted_mse { reduction: REDUCTION_NONE } }", "kwargs.reduction"},
      {"loss { mse { reduce: false } }", "kwargs.reduce"},
      {"loss { malis { malis_crop_size: [2, 0, 2] } }", "kwargs.malis_crop_size"},
      {absl::StrCat(kMse, "coefficient: nan"), "coefficient"},
      {absl::StrCat(kMse, "call_kind: CALL_KIND_PRED_ONLY pred_slice { stop: 1 }"), "call_kind"},
      {absl::StrCat(kMse, "target_kind: TARGET_KIND_NONE"), "target_kind"},
      {absl::StrCat(kMse, "spatial_weight_arg: SPATIAL_WEIGHT_ARG_MASK"), "spatial_weight_arg"},
      {absl::StrCat(kMse, "pos_weight { value: 0 }"), "pos_weight"},
      {absl::StrCat(kMse, "pos_weight { value: -1 }"), "pos_weight"},
      {absl::StrCat(kMse, "pos_weight { automatic: false }"), "pos_weight"},
      {"loss { malis {} } pos_weight { value: 2 }", "pos_weight"},
      {"loss { mse {} } pos_weight { automatic: true }", "pos_weight"},
      {absl::StrCat(kMse, "spatial_weight_arg: SPATIAL_WEIGHT_ARG_NONE pos_weight { value: 2 }"),
       "pos_weight"},
      {absl::StrCat(kMse, "pred_slice { start: 2 stop: 1 }"), "pred_slice"},
      {absl::StrCat(kMse, "target_slice { stop: 0 }"), "target_slice"},
      {absl::StrCat(kMse, "mask_slice { start: -1 stop: -1 }"), "mask_slice"},
      {absl::StrCat(kMse, "pred2_slice { stop: 1 }"), "pred2_slice"},
      {absl::StrCat(kMse, "pred2_head: 'a'"), "pred2_head"},
      {absl::StrCat(kMse, "pred_head: 'a'"), "pred_head"},
      {"loss { binary_regularization {} }", "pred_slice"},
      {"loss { contour_distance_consistency {} } pred_slice { stop: 1 }", "pred2_slice"},
  };
  for (const auto& [term, field] : cases) {
    EXPECT_THAT(Fields(Typed(absl::StrCat("losses { ", kMse, " } losses { ", term, " }"))),
                ElementsAre(absl::StrCat("losses[1].", field)))
        << term;
  }
}

TEST(PlanCheckTest, RefusesTermsWithoutEnd) {
  v1::Plan plan;
  for (int i = 0; i < 256; ++i) plan.add_losses()->mutable_loss()->mutable_mse();
  EXPECT_THAT(Fields(plan), ElementsAre());
  plan.add_losses();
  EXPECT_THAT(Fields(plan), ElementsAre("losses"));
}

TEST(PlanCheckTest, RefusesHeadsWithoutEnd) {
  v1::Plan plan = Typed(absl::StrCat("losses { ", kMse, " } primary_head: 'head0'"));
  for (int i = 0; i < 256; ++i) (*plan.mutable_heads())[absl::StrCat("head", i)];
  EXPECT_THAT(Fields(plan), ElementsAre());
  (*plan.mutable_heads())["another"];
  EXPECT_THAT(Fields(plan), ElementsAre("heads"));
}

TEST(PlanCheckTest, RefusesMistakesAboutHeads) {
  const auto fields = [](const std::string& term, const std::string& frame = "") {
    return Fields(Typed(absl::StrCat("losses { ", term, " } ", frame, kHeads)));
  };
  EXPECT_THAT(fields(kMse), ElementsAre("losses[0].pred_head"));
  EXPECT_THAT(fields(absl::StrCat(kMse, "pred_head: 'afff'")), ElementsAre("losses[0].pred_head"));
  EXPECT_THAT(fields(kMse, "primary_head: 'x' "), ElementsAre("primary_head"));
  EXPECT_THAT(fields(absl::StrCat(kMse, "pred_head: 'aff' pred_slice { stop: 4 }")),
              ElementsAre("losses[0].pred_slice"));
  EXPECT_THAT(fields("loss { contour_distance_consistency {} } pred_head: 'sdt' pred2_head: 'aff' "
                     "pred_slice { stop: 1 } pred2_slice { start: 3 }"),
              ElementsAre("losses[0].pred2_slice"));
  EXPECT_THAT(Message(absl::StrCat("losses { ", kMse, " pred_head: 'afff' } ", kHeads)),
              HasSubstr("expected one of aff, sdt; did you mean aff?"));
}

TEST(PlanCheckTest, RefusesWhatThisVersionDoesNotKnow) {
  v1::Plan plan = Typed(absl::StrCat("losses { ", kMse, " } losses { loss { l1 {} } }"));
  v1::Plan newer = plan;
  newer.GetReflection()->MutableUnknownFields(&newer)->AddVarint(77, 1);
  EXPECT_THAT(Fields(newer), ElementsAre("plan"));
  newer = plan;
  auto* options = newer.mutable_losses(1)->mutable_loss()->mutable_l1();
  options->GetReflection()->MutableUnknownFields(options)->AddVarint(77, 1);
  EXPECT_THAT(Fields(newer), ElementsAre("losses[1].kwargs"));
  newer = plan;
  newer.set_primary_head("sdt");
  v1::Head& head = (*newer.mutable_heads())["sdt"];
  head.GetReflection()->MutableUnknownFields(&head)->AddVarint(77, 1);
  EXPECT_THAT(Fields(newer), ElementsAre("heads.sdt"));
  // A value that its enum does not have.
  v1::Plan parsed;
  ASSERT_TRUE(parsed.ParseFromString(std::string("\x0a\x06\x0a\x02\x42\x00\x48\x09", 8)));
  ASSERT_EQ(parsed.losses_size(), 1);
  EXPECT_THAT(Fields(parsed), ElementsAre("losses[0]"));
}

TEST(PlanCheckTest, FindsEveryMistake) {
  EXPECT_THAT(
      Fields(Typed("clamp_min: 30 losses { loss { mse {} } coefficient: inf pred_head: 'a' "
                   "pos_weight { value: 1 } } losses {}")),
      testing::UnorderedElementsAre("clamp_max", "losses[0].coefficient", "losses[0].pred_head",
                                    "losses[0].pos_weight", "losses[1].function"));
}

TEST(PlanCheckTest, EveryUsableLossMakesATerm) {
  for (const LossTraits& traits : AllLosses()) {
    v1::Plan plan;
    v1::Term& term = *plan.add_losses();
    const auto* descriptor = v1::LossOptions::descriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      if (descriptor->field(i)->message_type()->name() != absl::StrCat(traits.name, "Options")) {
        continue;
      }
      term.mutable_loss()->GetReflection()->MutableMessage(term.mutable_loss(),
                                                           descriptor->field(i));
    }
    term.mutable_pred_slice()->set_stop(1);
    if (traits.call_kind == v1::CALL_KIND_PRED_PRED) term.mutable_pred2_slice()->set_start(1);
    const auto expected = traits.usable_in_plan ? std::vector<std::string>{}
                                                : std::vector<std::string>{"losses[0].function"};
    EXPECT_EQ(Fields(plan), expected) << traits.name;
  }
}

TEST(ExplainTest, SaysWhatATermDoesAndNeeds) {
  const auto explain = [](const std::string& term) {
    return ExplainTerm(Checked(absl::StrCat("losses { ", term, " }")).terms[0]);
  };
  EXPECT_EQ(
      explain("loss { malis { malis_crop_size: 64 } } coefficient: 0.5 pred_slice { stop: 3 }"),
      "term_0: 0.5 × MalisLoss between channels :3 of the prediction and all channels of "
      "labels. Edges are known where the product of mask and label_mask if given is 1. Looks at "
      "one crop of 64 × 64 × 64 a call. Needs predictions, labels (3 channels of each, one an "
      "offset); "
      "takes gt_seg.");
  EXPECT_EQ(
      explain("loss { weighted_mse {} } require_label_mask: true apply_deep_supervision: false"),
      "term_0: 1 × WeightedMSELoss between all channels of the prediction and all channels of "
      "labels. Weighted by class balance counted from the batch, mask and label_mask if given. "
      "Needs predictions, labels, label_mask. Under deep supervision, at the finest scale only.");
  EXPECT_THAT(explain("loss { weighted_mse { tanh: true reduction: REDUCTION_SUM } }"),
              HasSubstr("1 × WeightedMSELoss with reduction sum, tanh true between all channels"));
  EXPECT_THAT(explain("loss { weighted_mse {} } pos_weight { value: 3 }"),
              HasSubstr("Weighted by 3 on foreground, mask"));
  EXPECT_THAT(explain("loss { weighted_mse {} } mask_slice { start: -1 }"),
              HasSubstr("Weighted by channels -1: of labels, mask"));
  EXPECT_THAT(explain("loss { weighted_bce_with_logits {} } pos_weight { automatic: true }"),
              HasSubstr("Positives weigh background / foreground"));
  EXPECT_THAT(
      explain("loss { weighted_bce_with_logits { pos_weight: 3 } } pos_weight { value: 2 }"),
      HasSubstr("Positives weigh 3."));
  EXPECT_THAT(explain("loss { cross_entropy {} }"),
              testing::AllOf(HasSubstr("taken as class indices"), HasSubstr("held constant")));
  EXPECT_EQ(explain("loss { non_overlap_regularization {} } pred_slice { stop: 2 }"),
            "term_0: 1 × NonOverlapRegularization on channels :2 of the prediction. Takes no mask. "
            "Needs predictions.");
  EXPECT_THAT(
      explain("loss { contour_distance_consistency {} } pred_slice { stop: 1 } pred2_slice { "
              "start: 1 }"),
      HasSubstr("between channels :1 of the prediction and channels 1: of the prediction. "
                "Weighted by mask if given."));
}

}  // namespace
}  // namespace lossd
