#include "server/loss_catalog.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/losses/registry.h"
#include "lossd/orchestrator/plan_check.h"
#include "lossd/orchestrator/plan_reader.h"

namespace lossd {
namespace {

using google::protobuf::util::MessageDifferencer;

// The plan of one term of that loss, as a person writes it, with every default resolved.
v1::Plan Resolved(const std::string& function, const std::string& kwargs) {
  const std::string slices = absl::StrCat(
      FindLoss(function)->call_kind == v1::CALL_KIND_PRED_TARGET ? "" : ", pred_slice: 0",
      FindLoss(function)->call_kind == v1::CALL_KIND_PRED_PRED ? ", pred2_slice: 1" : "");
  const std::string text =
      absl::StrCat("[{function: ", function, slices, ", kwargs: {", kwargs, "}}]");
  const absl::StatusOr<v1::Plan> plan = ReadPlan(text);
  EXPECT_TRUE(plan.ok()) << plan.status() << "\n" << text;
  if (!plan.ok()) return {};
  CheckedPlan checked;
  for (const absl::Status& problem : CheckPlan(*plan, &checked)) {
    ADD_FAILURE() << problem << "\n" << text;
  }
  return checked.plan;
}

TEST(LossCatalogTest, ListsEveryLossWithEveryOption) {
  const v1::ListLossesResponse catalog = LossCatalog();
  ASSERT_EQ(catalog.losses_size(), static_cast<int>(AllLosses().size()));
  const auto* oneof = v1::LossOptions::descriptor()->FindOneofByName("loss");
  std::set<std::string> described;
  for (const v1::LossInfo& loss : catalog.losses()) {
    described.insert(loss.name());
    for (const v1::OptionInfo& option : loss.options()) {
      described.insert(absl::StrCat(loss.name(), ".", option.name()));
      EXPECT_FALSE(option.type().empty()) << loss.name() << "." << option.name();
    }
  }
  std::set<std::string> declared;
  for (int i = 0; i < oneof->field_count(); ++i) {
    const auto* options = oneof->field(i)->message_type();
    const std::string name = options->name().substr(0, options->name().find("Options"));
    declared.insert(name);
    for (int f = 0; f < options->field_count(); ++f) {
      declared.insert(absl::StrCat(name, ".", options->field(f)->name()));
    }
  }
  EXPECT_EQ(described, declared);
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
    EXPECT_TRUE(
        MessageDifferencer::Equals(Resolved(loss.name(), kwargs), Resolved(loss.name(), "")))
        << loss.name() << " with " << kwargs;
  }
  EXPECT_GT(defaults, 50);
}

}  // namespace
}  // namespace lossd
