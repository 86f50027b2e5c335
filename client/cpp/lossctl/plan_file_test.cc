#include "lossctl/plan_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// Two kinds of losses, and what may name them.
constexpr char kProfiles[] = R"(
loss_profiles:
  mask:
    losses:
    - {function: WeightedBCEWithLogitsLoss, weight: 1.5, kwargs: {reduction: mean}}
    - {function: DiceLoss, kwargs: {sigmoid: yes, smooth_nr: 1e-5}}
    loss_balancing: {strategy: uncertainty}
  distance:
    losses: [{function: SmoothL1Loss, kwargs: {tanh: true}, pred_slice: "-1:"}]
pipeline_profiles:
  segment: {model: {out_channels: 1, loss: {profile: mask}}}
arch_profiles:
  two_heads: {arch: {type: wide}, heads: {a: {out_channels: 1}, b: {out_channels: 2}}, primary_head: a}
  narrow: {arch: {type: narrow}}
)";

class PlanFileTest : public testing::Test {
 protected:
  PlanFileTest()
      : folder_(std::filesystem::canonical(testing::TempDir()) /
                absl::StrCat("plan_file_test_", getpid())) {
    Write("profiles.yaml", kProfiles);
  }
  ~PlanFileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(absl::string_view name) const { return folder_ / std::string(name); }

  void Write(absl::string_view name, absl::string_view text) {
    const std::filesystem::path path = Path(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  // Writes a config and expects its file to hold the same plan as another text.
  void ExpectPlan(absl::string_view config, absl::string_view expected) {
    Write("config.yaml", config);
    const absl::StatusOr<std::string> text = ReadPlanFile(Path("config.yaml"));
    ASSERT_TRUE(text.ok()) << text.status();
    const absl::StatusOr<Plan> plan = ReadPlan(*text);
    ASSERT_TRUE(plan.ok()) << plan.status() << "\n" << *text;
    const absl::StatusOr<Plan> expected_plan = ReadPlan(expected);
    ASSERT_TRUE(expected_plan.ok()) << expected_plan.status();
    EXPECT_TRUE(*plan == *expected_plan) << *text;
  }

  // Writes a config that cannot be resolved, and gives the error.
  std::string ErrorOf(absl::string_view config) {
    Write("config.yaml", config);
    const absl::StatusOr<std::string> text = ReadPlanFile(Path("config.yaml"));
    EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument) << text.status();
    return std::string(text.status().message());
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(PlanFileTest, GivesAPlanByteForByte) {
  // Its stages are what they were before they were merged.
  constexpr absl::string_view kSaved =
      "{system: {a: 1}, model: {loss: {losses: [{function: L1Loss}]}}, data: {a: 1},\n"
      "optimization: {a: 1}, monitor: {a: 1}, inference: {a: 1}, decoding: {a: 1},\n"
      "evaluation: {a: 1}, default: {model: {loss: {losses: []}}}, train: {model: {loss: {}}}}";
  constexpr absl::string_view kTexts[] = {"# A comment.\n- {function: L1Loss}\n",
                                          "losses: [{function: L1Loss}]  # As it is.\n",
                                          R"({"loss": {"losses": []}, "heads": {}})",
                                          "model:\n  loss:\n    losses: []\n",
                                          "losses: [\n",
                                          "_base_: null\nloses: []\n",
                                          "",
                                          kSaved};
  for (const absl::string_view text : kTexts) {
    Write("plan.yaml", text);
    const absl::StatusOr<std::string> read = ReadPlanFile(Path("plan.yaml"));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, text);
  }
}

TEST_F(PlanFileTest, KeepsWhatScalarsAre) {
  Write("config.yaml",
        "default: {model: {loss: {losses: [yes, \"yes\", -1e-5, '1', 0:3, -, '', null, "
        "\"a\\\\\\n\\\"ü\"]}}}");
  const absl::StatusOr<std::string> text = ReadPlanFile(Path("config.yaml"));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text,
            "{\"loss\": {\"losses\": [yes, \"yes\", -1e-5, \"1\", \"0:3\", \"-\", \"\", null, "
            "\"a\\\\\\u000a\\\"ü\"]}}");
}

TEST_F(PlanFileTest, MergesBaseFilesFromLeftToRightAndReplacesLists) {
  Write("left.yaml",
        "default: {model: {primary_head: x, heads: {x: {out_channels: 1}}, loss: "
        "{deep_supervision_weights: [1, 2, 3], clamp_min: -1, losses: [{function: DiceLoss}, "
        "{function: L1Loss}]}}}");
  Write("right.yaml",
        "default: {model: {heads: {x: {target_slice: 1}, y: {out_channels: 2}}, loss: {clamp_min: "
        "-2, clamp_max: "
        "2, losses: [{function: MSELoss}]}}}");
  ExpectPlan(
      "_base_: [left.yaml, right.yaml]\n"
      "default: {model: {primary_head: y, loss: {clamp_max: 3, deep_supervision_weights: [5]}}}",
      "{losses: [{function: MSELoss}], clamp_min: -2, clamp_max: 3, deep_supervision_weights: [5], "
      "primary_head: y, heads: {x: {out_channels: 1, target_slice: 1}, y: {out_channels: 2}}}");
}

TEST_F(PlanFileTest, LooksForBaseFilesFromTheFileThatNamesThem) {
  Write("shared/losses.yaml", "default: {model: {loss: {losses: [{function: L1Loss}]}}}");
  Write("recipes/deep/recipe.yaml", "_base_: ../../shared/losses.yaml");
  ExpectPlan(absl::StrCat("_base_: [recipes/deep/recipe.yaml, ", Path("profiles.yaml"), "]"),
             "[{function: L1Loss}]");
}

TEST_F(PlanFileTest, ReadsAFileThatSeveralHaveAsTheirBase) {
  Write("top.yaml", "default: {model: {loss: {clamp_min: -1, losses: [{function: L1Loss}]}}}");
  Write("left.yaml", "_base_: top.yaml\ndefault: {model: {loss: {clamp_min: -2}}}");
  Write("right.yaml", "_base_: top.yaml");
  // What the right one has from its base counts as its own.
  ExpectPlan("_base_: [left.yaml, right.yaml]", "{clamp_min: -1, losses: [{function: L1Loss}]}");
}

TEST_F(PlanFileTest, NullReplacesWhatABaseSays) {
  Write("base.yaml", "default: {model: {loss: {clamp_min: -1, losses: [{function: L1Loss}]}}}");
  Write("empty.yaml", "# Nothing.\n");
  ExpectPlan("_base_: [base.yaml, empty.yaml]\ndefault: {model: {loss: {clamp_min: null}}}",
             "[{function: L1Loss}]");
}

TEST_F(PlanFileTest, TrainOverridesDefaultAndDefaultTheRoot) {
  ExpectPlan(R"(
model: {loss: {clamp_min: -1, clamp_max: 1, losses: [{function: L1Loss}]}, primary_head: x}
default: {model: {loss: {clamp_min: -2, losses: [{function: MSELoss}]}}}
train: {model: {loss: {clamp_min: -3}}}
test: {model: {loss: {clamp_min: -4}}}
)",
             "{clamp_min: -3, clamp_max: 1, losses: [{function: MSELoss}], primary_head: x}");
}

TEST_F(PlanFileTest, StagesPassOnWhatTheySet) {
  ExpectPlan(
      "model: {heads: {x: {}}, loss: {losses: [{function: L1Loss, kwargs: {}}]}}\n"
      "default: {model: {heads: {y: {}, z: {out_channels: 2}}}}",
      "{losses: [{function: L1Loss}], heads: {x: {}, z: {out_channels: 2}}}");
}

TEST_F(PlanFileTest, PutsProfilesUnderWhatTheConfigSays) {
  constexpr absl::string_view kMask =
      "losses: [{function: WeightedBCEWithLogitsLoss, weight: 1.5, kwargs: {reduction: mean}}, "
      "{function: DiceLoss, kwargs: {sigmoid: true, smooth_nr: 1e-5}}]\n"
      "loss_balancing: {strategy: uncertainty";
  ExpectPlan(
      "_base_: profiles.yaml\n"
      "default: {model: {loss: {profile: mask, loss_balancing: {gradnorm_alpha: 2}}}}",
      absl::StrCat(kMask, ", gradnorm_alpha: 2}"));
  ExpectPlan("_base_: profiles.yaml\ndefault: {pipeline_profile: segment}",
             absl::StrCat(kMask, "}"));
  // The profile of a pipeline gives way to one that the config names, and that to losses.
  ExpectPlan(
      "_base_: profiles.yaml\n"
      "default: {pipeline_profile: segment, model: {loss: {profile: distance}}}",
      "[{function: SmoothL1Loss, kwargs: {tanh: true}, pred_slice: '-1:'}]");
  ExpectPlan(
      "_base_: profiles.yaml\n"
      "default: {model: {loss: {profile: distance, losses: [{function: L1Loss}]}}}",
      "[{function: L1Loss}]");
  ExpectPlan(
      "_base_: profiles.yaml\n"
      "default: {model: {loss: {profile: mask}}}\n"
      "train: {model: {loss: {profile: distance}, arch: {profile: two_heads}}}",
      "losses: [{function: SmoothL1Loss, kwargs: {tanh: true}, pred_slice: '-1:'}]\n"
      "loss_balancing: {strategy: uncertainty}\n"
      "primary_head: a\n"
      "heads: {a: {out_channels: 1}, b: {out_channels: 2}}");
}

TEST_F(PlanFileTest, OverridesTermsOfAProfileByTheirIndex) {
  ExpectPlan(
      "_base_: profiles.yaml\n"
      "default: {model: {loss: {profile: mask, overrides: {0: {pos_weight: auto}, 1: {weight: 3, "
      "kwargs: {smooth_nr: 2}}}}}}",
      "losses: [{function: WeightedBCEWithLogitsLoss, weight: 1.5, pos_weight: auto, kwargs: "
      "{reduction: mean}}, {function: DiceLoss, weight: 3, kwargs: {sigmoid: true, smooth_nr: "
      "2}}]\n"
      "loss_balancing: {strategy: uncertainty}");
  ExpectPlan(
      "_base_: profiles.yaml\n"
      "default: {model: {loss: {profile: distance, overrides: {0: null}}}}",
      "[{function: SmoothL1Loss, kwargs: {tanh: true}, pred_slice: '-1:'}]");
  for (const char* index : {"2", "-1", "first"}) {
    EXPECT_EQ(ErrorOf(absl::StrCat(
                  "_base_: profiles.yaml\ndefault: {model: {loss: {profile: mask, overrides: {",
                  index, ": {weight: 2}}}}}")),
              absl::StrCat(Path("config.yaml"), ": default.model.loss.overrides.", index,
                           ": expected the index of one of the 2 losses, from 0"));
  }
}

TEST_F(PlanFileTest, SaysWhichProfileThereIsNot) {
  Write("named.yaml", "default: {model: {loss: {profile: mesk}}}");
  EXPECT_EQ(
      ErrorOf("_base_: [profiles.yaml, named.yaml]"),
      absl::StrCat(Path("named.yaml"),
                   ": default.model.loss.profile: unknown profile \"mesk\"; did you mean mask? "
                   "(loss_profiles: mask, distance)"));
  EXPECT_THAT(
      ErrorOf("default: {model: {arch: {profile: narrow}}}"),
      AllOf(StartsWith(Path("config.yaml")),
            HasSubstr(": default.model.arch.profile: names profile \"narrow\", but there are "
                      "no arch_profiles; expected a _base_ that has them")));
  EXPECT_THAT(ErrorOf("loss_profiles: {x: [{function: L1Loss}]}\n"
                      "default: {model: {loss: {profile: x}}}"),
              EndsWith("loss_profiles.x: got a list of 1, expected a mapping"));
}

TEST_F(PlanFileTest, SaysWhichBaseFileThereIsNot) {
  Write("deep/base.yaml", "_base_: lost.yaml");
  EXPECT_EQ(ErrorOf("_base_: [profiles.yaml, deep/base.yaml]"),
            absl::StrCat(Path("deep/base.yaml"),
                         ": _base_: there is no file \"lost.yaml\" (looked "
                         "for ",
                         Path("deep/lost.yaml"), ")"));
  EXPECT_THAT(ErrorOf("_base_: deep"), HasSubstr("no file \"deep\""));
  EXPECT_THAT(ErrorOf("_base_: {file: deep}"),
              EndsWith("_base_: got a mapping, expected the name of a file"));
}

TEST_F(PlanFileTest, SaysWhatIsWrongWithABaseFile) {
  Write("broken.yaml", "default:\n  model: [\n");
  EXPECT_THAT(ErrorOf("_base_: broken.yaml"),
              StartsWith(absl::StrCat(Path("broken.yaml"), ": line 3, column 1: ")));
  Write("list.yaml", "- 1\n");
  EXPECT_EQ(ErrorOf("_base_: list.yaml"),
            absl::StrCat(Path("list.yaml"), ": got a list of 1, expected a mapping"));
  Write("base.yaml", "default: {data: {size: [1, 2]}}");
  EXPECT_EQ(ErrorOf("_base_: base.yaml\ndefault: {data: {size: {z: 1}}}"),
            absl::StrCat(Path("config.yaml"),
                         ": default.data.size: a mapping cannot be merged into a list of 2"));
}

TEST_F(PlanFileTest, StopsAtACycle) {
  Write("a.yaml", "_base_: b.yaml");
  Write("b.yaml", "_base_: ./a.yaml");
  EXPECT_EQ(ErrorOf("_base_: a.yaml"),
            absl::StrCat(Path("b.yaml"), ": _base_: a file is its own base: ", Path("a.yaml"),
                         " -> ", Path("b.yaml"), " -> ", Path("a.yaml")));
  EXPECT_THAT(ErrorOf("_base_: config.yaml"), HasSubstr("a file is its own base"));
}

TEST_F(PlanFileTest, BoundsWhatItReads) {
  // Each doubles what the one before takes, were it not read once.
  Write("0.yaml", "a: 1");
  for (int i = 1; i <= 60; ++i) {
    Write(absl::StrCat(i, ".yaml"), absl::StrCat("_base_: [", i - 1, ".yaml, ", i - 1, ".yaml]"));
  }
  EXPECT_THAT(ErrorOf("_base_: 60.yaml"), HasSubstr("trains nothing"));
  for (int i = 61; i <= 300; ++i) {
    Write(absl::StrCat(i, ".yaml"), absl::StrCat("_base_: ", i - 1, ".yaml"));
  }
  EXPECT_THAT(ErrorOf("_base_: 300.yaml"), EndsWith("_base_: more than 256 base files in all"));

  std::string ten = "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]";
  std::string text = absl::StrCat("a0: &a0 ", ten, "\n");
  for (int i = 1; i <= 3; ++i) {
    absl::StrAppend(&text, "a", i, ": &a", i, " [*a", i - 1);
    for (int k = 1; k < 10; ++k) absl::StrAppend(&text, ", *a", i - 1);
    absl::StrAppend(&text, "]\n");
  }
  std::string bases;
  for (int i = 0; i < 9; ++i) {
    Write(absl::StrCat("bomb", i, ".yaml"), text);
    absl::StrAppend(&bases, "bomb", i, ".yaml, ");
  }
  EXPECT_THAT(ErrorOf(absl::StrCat("_base_: [", bases, "]")), EndsWith("more than 100000 values"));
}

TEST_F(PlanFileTest, SaysThatAnInterpolationTakesOmegaConf) {
  Write("weights.yaml", "default: {model: {loss: {losses: [{function: L1Loss, weight: '${w}'}]}}}");
  EXPECT_THAT(ErrorOf("_base_: weights.yaml\nw: 2\ndefault: {save: '${w}'}"),
              AllOf(StartsWith(absl::StrCat(Path("weights.yaml"),
                                            ": model.loss.losses[0].weight: \"${w}\" is an "
                                            "interpolation")),
                    HasSubstr("connectomics.config"),
                    EndsWith(absl::StrCat("\"", Path("config.yaml"), "\" > resolved.json"))));
  // What it stands for would be merged with the rest.
  EXPECT_THAT(ErrorOf("model: {loss: '${other}'}\n"
                      "default: {model: {loss: {losses: [{function: L1Loss}]}}}"),
              HasSubstr(": model.loss: \"${other}\""));
  EXPECT_THAT(ErrorOf("train: '${default}'"), HasSubstr(": train: \"${default}\""));
  EXPECT_THAT(ErrorOf("default: {pipeline_profile: '${p}'}"),
              HasSubstr(": default.pipeline_profile: \"${p}\""));
}

TEST_F(PlanFileTest, RefusesWhatPyTorchConnectomicsRefusesWhereItStands) {
  EXPECT_THAT(ErrorOf("_base_: profiles.yaml\nmodel: {loss: {profile: mask}}"),
              EndsWith("model.loss.profile: not read here, expected default.model.loss.profile"));
  EXPECT_THAT(ErrorOf("_base_: profiles.yaml\ntrain: {pipeline_profile: segment}"),
              EndsWith("train.pipeline_profile: not read here, expected default.pipeline_profile"));
  EXPECT_THAT(ErrorOf("default: {_base_: profiles.yaml}"),
              EndsWith("default._base_: not read here, expected _base_ at the root of the file"));
  EXPECT_THAT(ErrorOf("_base_: profiles.yaml\nlosses: [{function: L1Loss}]"),
              EndsWith("losses: not read here, expected model.loss.losses under default or train"));
  EXPECT_THAT(ErrorOf("default: {model: [loss]}"),
              EndsWith("default.model: got a list of 1, expected a mapping"));
}

TEST_F(PlanFileTest, SaysThatAConfigHasNoLosses) {
  for (const char* config : {"default: {decoding: {steps: []}}", "_base_: profiles.yaml",
                             "train: {model: {loss: {clamp_min: -1}}}",
                             "default: {model: {loss: {losses: [{function: L1Loss}]}}}\n"
                             "train: {model: {loss: {losses: null}}}"}) {
    EXPECT_THAT(ErrorOf(config), StartsWith(absl::StrCat(Path("config.yaml"), ": trains nothing")));
  }
}

}  // namespace
}  // namespace lossd
