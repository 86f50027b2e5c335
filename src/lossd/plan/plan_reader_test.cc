#include "lossd/plan/plan_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/configured.h"
#include "lossd/losses/malis_loss.h"
#include "lossd/losses/overlap/dice.h"
#include "lossd/losses/pointwise/cross_entropy.h"
#include "lossd/losses/pointwise/l1.h"
#include "lossd/losses/pointwise/weighted_bce.h"
#include "lossd/losses/pointwise/weighted_mse.h"

namespace lossd {
namespace {

// A plan of one term.
Plan PlanOf(const Term& term) { return {.losses = {term}}; }

Term L1Term() { return {.loss = Configured(L1())}; }

// Expects `text` to be read as that plan.
void ExpectPlan(absl::string_view text, const Plan& expected) {
  const auto plan = ReadPlan(text);
  ASSERT_TRUE(plan.ok()) << text << "\n" << plan.status();
  EXPECT_TRUE(*plan == expected) << text;
}

// The fields of the mistakes in a plan.
std::vector<std::string> Fields(absl::string_view text) {
  std::vector<std::string> fields;
  for (const absl::Status& problem : ReadPlanDocument(text).problems) {
    fields.push_back(ErrorField(problem).value_or("none"));
  }
  return fields;
}

std::string Message(absl::string_view text) {
  const auto plan = ReadPlan(text);
  EXPECT_FALSE(plan.ok()) << text;
  return std::string(plan.status().message());
}

// A plan whose only term has these entries besides its function.
std::string TermWith(absl::string_view entries, absl::string_view function = "MalisLoss") {
  return absl::StrCat("losses: [{function: ", function, ", ", entries, "}]");
}

TEST(PlanReaderTest, ReadsATerm) {
  ExpectPlan(R"(
losses:
- function: WeightedBCEWithLogitsLoss
  weight: 2
  kwargs: {reduction: sum, pos_weight: 3}
  pred_slice: "0:1"
  target_slice: -1
  mask_slice: "1:"
  pred_head: aff
  call_kind: pred_target
  target_kind: dense
  spatial_weight_arg: weight
  apply_deep_supervision: false
  pos_weight: auto
  require_label_mask: true
)",
             PlanOf({.loss = Configured(WeightedBCE{.pos_weight = 3, .reduction = Reduction::kSum}),
                     .coefficient = 2,
                     .pred_slice = ChannelSlice{.start = 0, .stop = 1},
                     .target_slice = ChannelSlice{.start = -1},
                     .mask_slice = ChannelSlice{.start = 1},
                     .pred_head = "aff",
                     .call_kind = CallKind::kPredTarget,
                     .target_kind = TargetKind::kDense,
                     .spatial_weight_arg = SpatialWeightArg::kWeight,
                     .apply_deep_supervision = false,
                     .pos_weight = PosWeight(),
                     .require_label_mask = true}));
}

TEST(PlanReaderTest, ReadsThePlansFrame) {
  ExpectPlan(
      R"({"losses": [{"function": "L1Loss"}], "clamp_min": -5, "clamp_max": 5.5,
                 "deep_supervision_weights": [1, 0.25], "primary_head": "aff",
                 "heads": {"aff": {"out_channels": 3, "target_slice": "0:3"}, "sdt": {}},
                 "loss_balancing": {"strategy": "gradnorm", "gradnorm_alpha": 1.5}})",
      {.losses = {L1Term()},
       .clamp_min = -5,
       .clamp_max = 5.5,
       .deep_supervision_weights = {1, 0.25},
       .heads = {{"aff", {.target_slice = ChannelSlice{.start = 0, .stop = 3}, .out_channels = 3}},
                 {"sdt", {}}},
       .primary_head = "aff",
       .loss_balancing = {.strategy = BalancingStrategy::kGradNorm, .gradnorm_alpha = 1.5}});
}

TEST(PlanReaderTest, AcceptsEveryTopLevelForm) {
  const std::string losses = "- {function: L1Loss, weight: 0.5}\n";
  Term half = L1Term();
  half.coefficient = 0.5;
  const Plan expected = PlanOf(half);
  const std::string nested = "    losses:\n    - {function: L1Loss, weight: 0.5}\n";
  ExpectPlan(losses, expected);
  ExpectPlan(absl::StrCat("losses:\n", losses), expected);
  ExpectPlan("loss:\n  losses: [{function: L1Loss, weight: 0.5}]\n", expected);
  ExpectPlan(absl::StrCat("system: {num_gpus: 1}\nmodel:\n  arch: {type: unet}\n  loss:\n", nested),
             expected);
  ExpectPlan(absl::StrCat("default:\n  model:\n   loss:\n", nested, "train: {steps: 5}\n"),
             expected);
}

TEST(PlanReaderTest, ReadsATrainingConfigWithHeads) {
  ExpectPlan(
      R"(
model:
  out_channels: 4
  primary_head: aff
  heads:
    aff: {out_channels: 3, num_blocks: 2, hidden_channels: 16, target_slice: "0:3"}
  loss:
    deep_supervision: true
    deep_supervision_weights: null
    deep_supervision_clamp_min: -10.0
    deep_supervision_clamp_max: 10
    losses:
    - {function: DiceLoss, weight: 1.0, kwargs: {sigmoid: true, smooth_nr: 1e-5}}
    loss_balancing: {strategy: null, gradnorm_parameter_strategy: last}
)",
      {.losses = {{.loss = Configured(Dice{.sigmoid = true})}},
       .clamp_min = -10,
       .clamp_max = 10,
       .heads = {{"aff", {.target_slice = ChannelSlice{.start = 0, .stop = 3}, .out_channels = 3}}},
       .primary_head = "aff"});
}

TEST(PlanReaderTest, AFieldsOwnNameWinsOverItsOtherSpelling) {
  for (const char* entries : {"weight: 2, coefficient: 3, pred: 0, pred_slice: 1",
                              "coefficient: 3, weight: 2, pred_slice: 1, pred: 0"}) {
    Term term = L1Term();
    term.coefficient = 3;
    term.pred_slice = SingleChannel(1);
    ExpectPlan(TermWith(entries, "L1Loss"), PlanOf(term));
  }
  Term term = L1Term();
  term.coefficient = 2;
  term.call_kind = CallKind::kPredPred;
  term.pred2_slice = SingleChannel(1);
  term.mask_slice = SingleChannel(2);
  term.target_slice = SingleChannel(3);
  ExpectPlan(TermWith("coefficient: null, weight: 2, call: pred_pred, pred2: 1, mask: 2, target: 3",
                      "L1Loss"),
             PlanOf(term));
}

TEST(PlanReaderTest, TellsWhatFieldsAreCalled) {
  EXPECT_THAT(
      ReadPlanDocument(R"({losses: [{function: L1Loss, pred: 0, target_slice: 1},
                                            {function: L1Loss, call: pred_target, mask: 2}],
                                   deep_supervision_clamp_max: 3})")
          .spelling,
      testing::UnorderedElementsAre(testing::Pair("losses[0].pred_slice", "losses[0].pred"),
                                    testing::Pair("losses[1].call_kind", "losses[1].call"),
                                    testing::Pair("losses[1].mask_slice", "losses[1].mask"),
                                    testing::Pair("clamp_max", "deep_supervision_clamp_max")));
  // The one that counts.
  EXPECT_THAT(ReadPlanDocument(TermWith("pred: 0, pred_slice: 1", "L1Loss")).spelling,
              testing::IsEmpty());
}

TEST(FieldSpellingTest, CallsFieldsByTheirNames) {
  const FieldSpelling spelling = {{"losses[1].pred_slice", "losses[1].pred"}};
  const auto field = [&](const char* of) {
    return *ErrorField(InSpelling(spelling, FieldError(of, "wrong")));
  };
  EXPECT_EQ(field("losses[1].pred_slice"), "losses[1].pred");
  EXPECT_EQ(field("losses[1].pred_slice.start"), "losses[1].pred.start");
  EXPECT_EQ(field("losses[0].pred_slice"), "losses[0].pred_slice");
  EXPECT_EQ(field("losses[1].pred_slices"), "losses[1].pred_slices");
  EXPECT_EQ(InSpelling(spelling, FieldError("losses[1].pred_slice", "wrong")).message(),
            "losses[1].pred: wrong");
  EXPECT_EQ(InSpelling(spelling, absl::InternalError("x")), absl::InternalError("x"));
}

TEST(PlanReaderTest, TakesNullAsPyTorchConnectomicsDoes) {
  ExpectPlan(TermWith("pred_slice: null, pos_weight: null", "L1Loss"), PlanOf(L1Term()));
  Term term = L1Term();
  term.spatial_weight_arg = SpatialWeightArg::kNone;
  term.apply_deep_supervision = false;
  ExpectPlan(TermWith("spatial_weight_arg: null, apply_deep_supervision: null", "L1Loss"),
             PlanOf(term));
  ExpectPlan("model: {loss: {profile: null, losses: [{function: L1Loss}]}}", PlanOf(L1Term()));
}

TEST(PlanReaderTest, ReadsListsAndSingleValues) {
  ExpectPlan(TermWith("kwargs: {nhood: [[-1, 0, 0], [0, 0, 4]], malis_crop_size: 64}"),
             PlanOf({.loss = Configured(
                         Malis{.nhood = {{-1, 0, 0}, {0, 0, 4}}, .malis_crop_size = {64}})}));
  ExpectPlan(
      TermWith("kwargs: {malis_crop_size: [32, 64, 64], malis_num_workers: 4}"),
      PlanOf({.loss = Configured(Malis{.malis_crop_size = {32, 64, 64}, .malis_num_workers = 4})}));
  ExpectPlan(TermWith("kwargs: {weight: [0.5, 1]}", "CrossEntropyLoss"),
             PlanOf({.loss = Configured(CrossEntropy{.weight = {0.5, 1}})}));
  ExpectPlan(TermWith("kwargs: null"), PlanOf({.loss = Configured(Malis())}));
}

TEST(PlanReaderTest, ReadsNumbersAndBoolsAsConfigsWriteThem) {
  for (const char* number : {"1e-4", "1.0E-4", "0.0001", "+1e-04", ".0001", "1.e-4"}) {
    Term term = L1Term();
    term.coefficient = 1e-4;
    ExpectPlan(TermWith(absl::StrCat("weight: ", number), "L1Loss"), PlanOf(term));
  }
  for (const char* word : {"false", "False", "FALSE", "no", "off"}) {
    Term term = L1Term();
    term.apply_deep_supervision = false;
    ExpectPlan(TermWith(absl::StrCat("apply_deep_supervision: ", word), "L1Loss"), PlanOf(term));
  }
  for (const char* slice : {"1:3", "'1:3'", "\"1 : 3\""}) {
    Term term = L1Term();
    term.pred_slice = ChannelSlice{.start = 1, .stop = 3};
    ExpectPlan(absl::StrCat("- function: L1Loss\n  pred: ", slice), PlanOf(term));
  }
  ExpectPlan(TermWith("pos_weight: 'AUTO'", "WeightedMSELoss"),
             PlanOf({.loss = Configured(WeightedMSE()), .pos_weight = PosWeight()}));
  ExpectPlan(
      "losses: [{function: L1Loss}]\nloss_balancing: {strategy: Uncertainty}",
      {.losses = {L1Term()}, .loss_balancing = {.strategy = BalancingStrategy::kUncertainty}});
}

TEST(PlanReaderTest, RefusesValuesOfTheWrongType) {
  const std::string field = "losses[0].";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"weight: '1.0'", "weight"},
      {"weight: one", "weight"},
      {"weight: .inf", "weight"},
      {"weight: nan", "weight"},
      {"weight: 1e999", "weight"},
      {"weight: 1e39", "weight"},
      {"weight: true", "weight"},
      {"weight: 0x10", "weight"},
      {"weight: [1]", "weight"},
      {"apply_deep_supervision: 1", "apply_deep_supervision"},
      {"apply_deep_supervision: 'true'", "apply_deep_supervision"},
      {"apply_deep_supervision: {}", "apply_deep_supervision"},
      {"pred_head: 3", "pred_head"},
      {"pred_head: yes", "pred_head"},
      {"pred_head: ' '", "pred_head"},
      {"pred_head: [a]", "pred_head"},
      {"pred_slice: 0.5", "pred_slice"},
      {"pred_slice: '0:2:1'", "pred_slice"},
      {"pred_slice: [0, 1]", "pred_slice"},
      {"pred_slice: true", "pred_slice"},
      {"pos_weight: automatic", "pos_weight"},
      {"pos_weight: '2'", "pos_weight"},
      {"pos_weight: {value: 2}", "pos_weight"},
      {"call_kind: 1", "call_kind"},
      {"call_kind: unspecified", "call_kind"},
      {"target_kind: [dense]", "target_kind"},
      {"kwargs: [1]", "kwargs"},
      {"kwargs: {sigmoid: 1}", "kwargs.sigmoid"},
      {"kwargs: {reduction: average}", "kwargs.reduction"},
      {"kwargs: {malis_crop_size: 64.0}", "kwargs.malis_crop_size"},
      {"kwargs: {malis_crop_size: 064}", "kwargs.malis_crop_size"},
      {"kwargs: {malis_crop_size: [1, two]}", "kwargs.malis_crop_size[1]"},
      {"kwargs: {malis_crop_size: [1, null]}", "kwargs.malis_crop_size[1]"},
      {"kwargs: {malis_crop_size: 9223372036854775808}", "kwargs.malis_crop_size"},
      {"kwargs: {nhood: 3}", "kwargs.nhood"},
      {"kwargs: {nhood: [[1, 0]]}", "kwargs.nhood[0]"},
      {"kwargs: {nhood: [null]}", "kwargs.nhood[0]"},
      {"kwargs: {nhood: [[1, 0, 0.5]]}", "kwargs.nhood[0][2]"},
  };
  for (const auto& [entries, where] : cases) {
    EXPECT_THAT(Fields(TermWith(entries)), testing::ElementsAre(field + where)) << entries;
  }
}

TEST(PlanReaderTest, RefusesUnknownNamesAndSuggestsTheNearest) {
  EXPECT_THAT(Message(TermWith("pred_slcie: 1")),
              testing::StartsWith("losses[0].pred_slcie: unknown field; did you mean pred_slice?"));
  EXPECT_THAT(Message(TermWith("kwargs: {sigmod: true}")),
              testing::StartsWith("losses[0].kwargs.sigmod: unknown field; did you mean sigmoid?"));
  EXPECT_EQ(Message("losses: [{function: MalisLos}]"),
            "losses[0].function: unknown loss \"MalisLos\"; did you mean MalisLoss?");
  EXPECT_EQ(Message(TermWith("kwargs: {reduction: avg}")),
            "losses[0].kwargs.reduction: got \"avg\", expected one of mean, sum, none");
  EXPECT_EQ(Message(TermWith("call_kind: pred_targt")),
            "losses[0].call_kind: got \"pred_targt\", expected one of pred_target, pred_only, "
            "pred_pred; did you mean pred_target?");
  EXPECT_THAT(Message("losses: []\nloss_balancng: {}"),
              testing::HasSubstr("did you mean loss_balancing?"));
  EXPECT_THAT(Message("loses: []"), testing::HasSubstr("did you mean losses?"));
  EXPECT_THAT(Message(TermWith("kwargs: {a: 1}", "ContourDistanceConsistency")),
              testing::HasSubstr("there are none"));
  // A key that is no plain text.
  EXPECT_THAT(Fields(TermWith("\"a\\nb\": 1")), testing::ElementsAre("losses[0].a\\nb"));
}

// MONAI's options take functions, too.
TEST(PlanReaderTest, SaysWhatToDoInPlaceOfAFunction) {
  for (const char* loss :
       {"DiceLoss", "DiceCELoss", "DiceFocalLoss", "GeneralizedDiceLoss", "TverskyLoss"}) {
    EXPECT_EQ(Message(TermWith("kwargs: {other_act: torch.tanh}", loss)),
              "losses[0].kwargs.other_act: got \"torch.tanh\", expected none, as a plan holds no "
              "functions: use sigmoid: true or softmax: true, or apply the activation in the "
              "network");
    EXPECT_THAT(Fields(TermWith("kwargs: {other_act: null}", loss)), testing::IsEmpty());
  }
}

TEST(PlanReaderTest, RefusesLeadingZeros) {
  for (const char* key : {"weight", "pos_weight", "pred_slice", "target_slice"}) {
    EXPECT_THAT(Fields(TermWith(absl::StrCat(key, ": 010"))),
                testing::ElementsAre(absl::StrCat("losses[0].", key)));
    EXPECT_THAT(Fields(TermWith(absl::StrCat(key, ": 0"))), testing::IsEmpty());
  }
  EXPECT_THAT(Fields(TermWith("kwargs: {num_iters: 08}", "SoftClDiceLoss")),
              testing::ElementsAre("losses[0].kwargs.num_iters"));
  EXPECT_THAT(Fields(TermWith("weight: 00.5")), testing::IsEmpty());
}

TEST(PlanReaderTest, RefusesDocumentsThatAreNoPlan) {
  EXPECT_THAT(Fields(""), testing::ElementsAre("plan"));
  EXPECT_THAT(Fields("5"), testing::ElementsAre("plan"));
  EXPECT_THAT(Fields("{"), testing::ElementsAre("plan"));
  EXPECT_THAT(Fields("{}"), testing::ElementsAre("losses"));
  EXPECT_THAT(Fields("model: {arch: x}"), testing::ElementsAre("losses"));
  EXPECT_THAT(Fields("data: {}\nsystem: {}"), testing::ElementsAre("losses"));
  EXPECT_THAT(Fields("losses: {function: L1Loss}"), testing::ElementsAre("losses"));
  EXPECT_THAT(Fields("losses: [5, null]"), testing::ElementsAre("losses[0]", "losses[1]"));
  EXPECT_THAT(Fields("- weight: 1"), testing::ElementsAre("losses[0].function"));
  EXPECT_THAT(Fields("- function: [L1Loss]"), testing::ElementsAre("losses[0].function"));
  EXPECT_THAT(Fields("losses: [{function: L1Loss}]\nheads: [a]"), testing::ElementsAre("heads"));
  EXPECT_THAT(Fields("losses: [{function: L1Loss}]\nheads: {a: 3}"),
              testing::ElementsAre("heads.a"));
  EXPECT_THAT(Fields("model: {loss: {profile: loss_bcd}}"), testing::ElementsAre("profile"));
  EXPECT_THAT(Fields("model: {primary_head: a, loss: {primary_head: b, losses: []}}"),
              testing::ElementsAre("primary_head"));
  EXPECT_THAT(Fields("default: {model: {loss: {losses: []}}}\ntrain: {model: {loss: {}}}"),
              testing::ElementsAre("train.model"));
  EXPECT_THAT(Fields("_base_: base.yaml\nmodel: {loss: {losses: [{function: L1Loss}]}}"),
              testing::ElementsAre("_base_"));
  EXPECT_THAT(Fields("default: {_base_: base.yaml, model: {loss: {losses: []}}}"),
              testing::ElementsAre("_base_"));
  EXPECT_THAT(Fields("_base_: null\nmodel: {loss: {losses: [{function: L1Loss}]}}"),
              testing::IsEmpty());
}

TEST(PlanReaderTest, ReportsEveryMistake) {
  EXPECT_THAT(
      Fields(R"(
losses:
- {function: DiceLoss, wieght: 1, kwargs: {sigmoid: maybe, gama: 2}}
- {function: Nonsense}
clamp_min: low
)"),
      testing::UnorderedElementsAre("losses[0].wieght", "losses[0].kwargs.sigmoid",
                                    "losses[0].kwargs.gama", "losses[1].function", "clamp_min"));
}

TEST(PlanReaderTest, BoundsTheNumberOfMistakes) {
  std::string text = "losses: [";
  for (int i = 0; i < 5000; ++i) text += "{},";
  EXPECT_EQ(Fields(absl::StrCat(text, "{}]")).size(), 100);
}

// Whatever a plan says, it is read or refused with fields named.
TEST(PlanReaderTest, SurvivesPlansOfRandomPieces) {
  const std::vector<std::string> keys = {"losses",     "function",    "weight",    "kwargs",
                                         "pred_slice", "heads",       "nhood",     "pos_weight",
                                         "model",      "loss",        "reduction", "call",
                                         "default",    "coefficient", "x"};
  const std::vector<std::string> scalars = {"MalisLoss", "DiceLoss", "1",    "-1", "'0:2'", "auto",
                                            "null",      "true",     "1e-4", "~",  ".nan",  "mean"};
  std::mt19937 random(3);
  const auto pick = [&](const std::vector<std::string>& from) {
    return from[random() % from.size()];
  };
  const std::function<std::string(int)> value = [&](int depth) -> std::string {
    const int kind = depth > 5 ? 0 : static_cast<int>(random() % 3);
    if (kind == 0) return pick(scalars);
    std::string inside;
    const int size = static_cast<int>(random() % 4);
    for (int i = 0; i < size; ++i) {
      // Distinct keys, as the mistake of a repeated one is found before all others.
      const std::string& key = keys[(random() % 4 * 4 + i) % keys.size()];
      absl::StrAppend(&inside, i > 0 ? ", " : "", kind == 1 ? absl::StrCat(key, ": ") : "",
                      value(depth + 1));
    }
    return kind == 1 ? absl::StrCat("{", inside, "}") : absl::StrCat("[", inside, "]");
  };
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = absl::StrCat(
        "losses: [{function: ", pick(scalars), ", kwargs: ", value(0), ", weight: ", value(3),
        ", pred: ", value(3), "}, ", value(0), "]\nheads: ", value(2));
    for (const absl::Status& problem : ReadPlanDocument(text).problems) {
      ASSERT_TRUE(ErrorField(problem).has_value()) << text << "\n" << problem;
    }
  }
}

}  // namespace
}  // namespace lossd
