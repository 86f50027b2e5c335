#include "lossd/wire/loss_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/losses/registry.h"
#include "lossd/plan/plan_check.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

// The plan of one term of that loss, as a person writes it, with every default resolved.
Plan Resolved(const std::string& function, const std::string& kwargs) {
  const CallKind call_kind = FindLoss(function)->traits().call_kind;
  const std::string slices = absl::StrCat(call_kind == CallKind::kPredTarget ? "" : ", pred: 0",
                                          call_kind == CallKind::kPredPred ? ", pred2: 1" : "");
  const std::string text =
      absl::StrCat("[{function: ", function, slices, ", kwargs: {", kwargs, "}}]");
  const absl::StatusOr<Plan> plan = ReadPlan(text);
  EXPECT_TRUE(plan.ok()) << plan.status() << "\n" << text;
  if (!plan.ok()) return {};
  CheckedPlan checked;
  for (const absl::Status& problem : CheckPlan(*plan, &checked)) {
    ADD_FAILURE() << problem << "\n" << text;
  }
  return checked.plan;
}

TEST(LossCatalogTest, SaysWhatAnOptionIs) {
  const v1::ListLossesResponse catalog = LossCatalog();
  ASSERT_EQ(catalog.losses_size(), static_cast<int>(AllLosses().size()));
  for (const v1::LossInfo& loss : catalog.losses()) {
    for (const v1::OptionInfo& option : loss.options()) EXPECT_NE(option.name(), "other_act");
    if (loss.name() != "ScnpLoss") continue;
    const v1::OptionInfo& window = loss.options(0);
    EXPECT_EQ(window.name(), "neighborhood_size");
    EXPECT_EQ(window.type(), "int");
    EXPECT_EQ(window.default_value(), "3");
    EXPECT_EQ(window.range(), "an odd number, 1 to 15");
    EXPECT_THAT(window.summary(), testing::StartsWith("Side of the window"));
    EXPECT_THAT(loss.options(3).choices(), testing::ElementsAre("mean", "sum", "none"));
  }
}

// What the catalogue says of an option can be written into a plan, and a default changes nothing.
TEST(LossCatalogTest, SaysDefaultsAndChoicesAsPlansSpellThem) {
  int defaults = 0;
  const v1::ListLossesResponse catalog = LossCatalog();
  for (const v1::LossInfo& loss : catalog.losses()) {
    if (!loss.usable_in_plan()) continue;
    std::string kwargs;
    for (const v1::OptionInfo& option : loss.options()) {
      if (option.default_value().empty()) continue;
      absl::StrAppend(&kwargs, kwargs.empty() ? "" : ", ", option.name(), ": ",
                      option.default_value());
      ++defaults;
      for (const std::string& choice : option.choices()) {
        if (choice != "none") Resolved(loss.name(), absl::StrCat(option.name(), ": ", choice));
      }
    }
    EXPECT_TRUE(Resolved(loss.name(), kwargs) == Resolved(loss.name(), ""))
        << loss.name() << " with " << kwargs;
  }
  EXPECT_GT(defaults, 50);
}

}  // namespace
}  // namespace lossd
