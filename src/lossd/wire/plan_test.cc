#include "lossd/wire/plan.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/base/words.h"
#include "lossd/plan/plan_check.h"
#include "lossd/wire/enums.h"

namespace lossd {
namespace {

v1::Plan Typed(const std::string& text) {
  v1::Plan plan;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &plan)) << text;
  return plan;
}

PlanDocument Read(const v1::Plan& plan) {
  v1::PlanSource source;
  *source.mutable_typed() = plan;
  return ReadPlanSource(source);
}

PlanDocument Read(const std::string& text) {
  v1::PlanSource source;
  source.set_text(text);
  return ReadPlanSource(source);
}

// The first mistake, found as a plan is read or checked; empty when there is none.
std::string Mistake(const PlanDocument& document) {
  CheckedPlan checked;
  const std::vector<absl::Status> problems =
      document.problems.empty() ? CheckPlan(document.plan, &checked) : document.problems;
  return problems.empty() ? "" : std::string(problems.front().message());
}

std::vector<std::string> Fields(const PlanDocument& document) {
  std::vector<std::string> fields;
  for (const absl::Status& problem : document.problems) {
    fields.push_back(ErrorField(problem).value_or("none"));
  }
  return fields;
}

// An option's value, in protobuf's text format.
v1::Plan WithOption(const std::string& loss, const std::string& option, const std::string& value) {
  return Typed(absl::StrCat("losses { function: '", loss, "' kwargs { fields { key: '", option,
                            "' value { ", value, " } } } }"));
}

std::string List(const std::vector<std::string>& values) {
  std::string text = "list_value { ";
  for (const std::string& value : values) absl::StrAppend(&text, "values { ", value, " } ");
  return text + "}";
}

TEST(PlanWireTest, ATypedPlanSaysWhatADocumentSays) {
  const std::vector<std::pair<std::string, v1::Plan>> cases = {
      {"[{function: MalisLoss, kwargs: {nhood: [[-1, 0, 2]], malis_crop_size: 64, sigmoid: false, "
       "malis_num_workers: null}}]",
       Typed(absl::StrCat(
           "losses { function: 'MalisLoss' kwargs { fields { key: 'nhood' value { ",
           List({List({"number_value: -1", "number_value: 0", "number_value: 2"})}),
           " } } fields { key: 'malis_crop_size' value { number_value: 64 } } "
           "fields { key: 'sigmoid' value { bool_value: false } } "
           "fields { key: 'malis_num_workers' value { null_value: NULL_VALUE } } } }"))},
      {"[{function: CrossEntropyLoss, kwargs: {weight: [0.1, 1e-30], reduction: sum}}]",
       Typed(absl::StrCat("losses { function: 'CrossEntropyLoss' kwargs { "
                          "fields { key: 'weight' value { ",
                          List({"number_value: 0.1", "number_value: 1e-30"}),
                          " } } fields { key: 'reduction' value { string_value: 'sum' } } } }"))},
      {"[{function: DiceLoss, kwargs: {other_act: null}}]",
       WithOption("DiceLoss", "other_act", "null_value: NULL_VALUE")},
      {"{losses: [{function: L1Loss, weight: 0.5, pred: 0, target: ':-1', mask: '1:', pred_head: "
       "aff, call: pred_target, target_kind: class_index, spatial_weight_arg: none, "
       "apply_deep_supervision: false, pos_weight: auto, require_label_mask: true}], clamp_min: "
       "-1.5, clamp_max: 2, deep_supervision_weights: [1, 0.25], heads: {aff: {out_channels: 3, "
       "target_slice: '0:3'}}, primary_head: aff, loss_balancing: {strategy: gradnorm, "
       "gradnorm_alpha: 1.5}}",
       Typed("losses { function: 'L1Loss' coefficient: 0.5 pred_slice { start: 0 stop: 1 } "
             "target_slice { stop: -1 } mask_slice { start: 1 } pred_head: 'aff' "
             "call_kind: CALL_KIND_PRED_TARGET target_kind: TARGET_KIND_CLASS_INDEX "
             "spatial_weight_arg: SPATIAL_WEIGHT_ARG_NONE apply_deep_supervision: false "
             "pos_weight { automatic: true } require_label_mask: true } clamp_min: -1.5 "
             "clamp_max: 2 deep_supervision_weights: [1, 0.25] heads { key: 'aff' value { "
             "out_channels: 3 target_slice { start: 0 stop: 3 } } } primary_head: 'aff' "
             "loss_balancing { strategy: BALANCING_STRATEGY_GRADNORM gradnorm_alpha: 1.5 }")},
  };
  for (const auto& [text, typed] : cases) {
    const PlanDocument of_text = Read(text);
    const PlanDocument of_typed = Read(typed);
    EXPECT_THAT(of_text.problems, testing::IsEmpty()) << text;
    EXPECT_THAT(of_typed.problems, testing::IsEmpty()) << typed.DebugString();
    EXPECT_TRUE(of_text.plan == of_typed.plan) << text << "\n" << typed.DebugString();
  }
}

TEST(PlanWireTest, AMessageSaysTheWholePlan) {
  const std::string text =
      "{losses: [{function: MalisLoss, kwargs: {nhood: [[-1, 0, 2]], malis_crop_size: [1, 2, 3]}, "
      "pred_slice: '1:', mask_slice: 0}, {function: ForegroundDistanceConsistency, pred: 0, pred2: "
      "1, pred2_head: b}, {function: WeightedMSELoss, pos_weight: 2, kwargs: {tanh: true}}], "
      "clamp_min: -1, deep_supervision_weights: [1, 2], heads: {a: {out_channels: 3, target_slice: "
      "':2'}, b: {}}, primary_head: a, loss_balancing: {strategy: uncertainty}}";
  CheckedPlan checked;
  ASSERT_THAT(CheckPlan(Read(text).plan, &checked), testing::IsEmpty());
  const PlanDocument again = Read(ToMessage(checked.plan));
  EXPECT_THAT(again.problems, testing::IsEmpty());
  EXPECT_TRUE(again.plan == checked.plan) << ToMessage(checked.plan).DebugString();
}

TEST(PlanWireTest, MakesTheSameMistakesInBothForms) {
  const std::vector<std::tuple<std::string, std::string, std::string, std::string>> cases = {
      {"MalisLoss", "sigmod", "true", "bool_value: true"},
      {"MalisLoss", "sigmoid", "1", "number_value: 1"},
      {"MalisLoss", "sigmoid", "'true'", "string_value: 'true'"},
      {"MalisLoss", "reduction", "'avg'", "string_value: 'avg'"},
      {"MalisLoss", "malis_crop_size", "64.5", "number_value: 64.5"},
      {"MalisLoss", "malis_crop_size", "0", "number_value: 0"},
      {"MalisLoss", "malis_crop_size", "[1, 2]", List({"number_value: 1", "number_value: 2"})},
      {"MalisLoss", "nhood", "3", "number_value: 3"},
      {"MalisLoss", "nhood", "[[1, 0]]", List({List({"number_value: 1", "number_value: 0"})})},
      {"MalisLoss", "nhood", "{}", "struct_value {}"},
      {"SmoothL1Loss", "beta", "-1", "number_value: -1"},
      {"SmoothL1Loss", "beta", "'1'", "string_value: '1'"},
      {"SmoothL1Loss", "beta", "1e+39", "number_value: 1e39"},
      {"DiceLoss", "other_act", "'tanh'", "string_value: 'tanh'"},
      {"DiceLoss", "weight", "[1, -1]", List({"number_value: 1", "number_value: -1"})},
  };
  for (const auto& [loss, option, text, typed] : cases) {
    const std::string plan =
        absl::StrCat("[{function: ", loss, ", kwargs: {", option, ": ", text, "}}]");
    const std::string mistake = Mistake(Read(plan));
    EXPECT_THAT(mistake, testing::StartsWith("losses[0].kwargs.")) << plan;
    EXPECT_EQ(Mistake(Read(WithOption(loss, option, typed))), mistake) << plan;
  }
}

TEST(PlanWireTest, TakesOnlyWholeNumbersForIntegers) {
  const auto mistake = [](const std::string& number) {
    return Mistake(Read(WithOption("MalisLoss", "malis_num_workers", "number_value: " + number)));
  };
  EXPECT_EQ(mistake("9007199254740992"), "");
  EXPECT_EQ(mistake("1e6"), "");
  for (const char* number :
       {"9007199254740994", "1e19", "1e300", "0.5", "1.0000000001", "inf", "nan"}) {
    EXPECT_THAT(mistake(number), testing::AllOf(testing::StartsWith("losses[0].kwargs.malis_num_"),
                                                testing::HasSubstr("expected an integer")))
        << number;
  }
}

TEST(PlanWireTest, RefusesWhatNoDocumentSays) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"losses {}", "losses[0].function"},
      {"losses { function: '' }", "losses[0].function"},
      {"losses { function: 'L1Loss' coefficient: nan }", "losses[0].coefficient"},
      {"losses { function: 'L1Loss' pos_weight { automatic: false } }", "losses[0].pos_weight"},
      {"losses { function: 'L1Loss' pred_head: '' }", "losses[0].pred_head"},
      {"clamp_min: nan", "clamp_min"},
      {"clamp_max: inf", "clamp_max"},
      {"clamp_max: 1e39", "clamp_max"},
      {"deep_supervision_weights: [1, inf]", "deep_supervision_weights[1]"},
      {"loss_balancing { gradnorm_alpha: nan }", "loss_balancing.gradnorm_alpha"},
  };
  for (const auto& [plan, field] : cases) {
    EXPECT_THAT(Fields(Read(Typed(plan))), testing::ElementsAre(field)) << plan;
  }
}

TEST(PlanWireTest, RefusesWhatThisVersionDoesNotKnow) {
  const v1::Plan plan = Typed("losses { function: 'MSELoss' } losses { function: 'L1Loss' }");
  const auto with_unknown_field = [](auto* message) {
    message->GetReflection()->MutableUnknownFields(message)->AddVarint(77, 1);
  };
  v1::Plan newer = plan;
  with_unknown_field(&newer);
  EXPECT_THAT(Fields(Read(newer)), testing::ElementsAre("plan"));
  newer = plan;
  with_unknown_field(newer.mutable_losses(1)->mutable_kwargs());
  EXPECT_THAT(Fields(Read(newer)), testing::ElementsAre("losses[1].kwargs"));
  newer = plan;
  with_unknown_field(newer.mutable_losses(0)->mutable_pred_slice());
  EXPECT_THAT(Fields(Read(newer)), testing::ElementsAre("losses[0].pred_slice"));
  newer = plan;
  newer.set_primary_head("sdt");
  with_unknown_field(&(*newer.mutable_heads())["sdt"]);
  EXPECT_THAT(Fields(Read(newer)), testing::ElementsAre("heads.sdt"));
  // A value that its enum does not have: call_kind 9.
  v1::Plan parsed;
  ASSERT_TRUE(parsed.ParseFromString(std::string("\x0a\x0a\x0a\x06L1Loss\x50\x09", 12)));
  ASSERT_EQ(parsed.losses(0).function(), "L1Loss");
  EXPECT_THAT(Fields(Read(parsed)), testing::ElementsAre("losses[0]"));
}

// Enums of messages and of plans have the same values in the same order.
template <typename Message, typename Enum>
void ExpectSameValues(const google::protobuf::EnumDescriptor& message) {
  const absl::Span<const absl::string_view> words = WordsOf<Enum>();
  ASSERT_EQ(message.value_count(), static_cast<int>(words.size()) + 1);
  for (size_t i = 0; i < words.size(); ++i) {
    const auto value = ToWire<Message>(static_cast<Enum>(i));
    EXPECT_TRUE(absl::EndsWith(absl::AsciiStrToLower(message.FindValueByNumber(value)->name()),
                               absl::StrCat("_", words[i])))
        << message.name() << " " << words[i];
    EXPECT_EQ(FromWire<Enum>(value), static_cast<Enum>(i));
  }
}

TEST(PlanWireTest, EnumsHaveTheSameValues) {
  ExpectSameValues<v1::CallKind, CallKind>(*v1::CallKind_descriptor());
  ExpectSameValues<v1::TargetKind, TargetKind>(*v1::TargetKind_descriptor());
  ExpectSameValues<v1::SpatialWeightArg, SpatialWeightArg>(*v1::SpatialWeightArg_descriptor());
  ExpectSameValues<v1::BalancingStrategy, BalancingStrategy>(*v1::BalancingStrategy_descriptor());
}

}  // namespace
}  // namespace lossd
