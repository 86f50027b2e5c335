#include "lossd/losses/registry.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "lossd/losses/loss.h"

namespace lossd {
namespace {

TEST(RegistryTest, IsInAlphabeticalOrder) {
  std::vector<std::string> names;
  for (const LossConfig& loss : AllLosses()) names.emplace_back(loss.traits().name);
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(names, sorted);
}

TEST(RegistryTest, NamesFindLosses) {
  for (const LossConfig& loss : AllLosses()) EXPECT_EQ(FindLoss(loss.traits().name), &loss);
  EXPECT_EQ(FindLoss("NoLoss"), nullptr);
}

TEST(RegistryTest, DefaultsMakeEveryLoss) {
  for (const LossConfig& loss : AllLosses()) {
    EXPECT_THAT(loss.Check(), testing::IsEmpty()) << loss.traits().name;
    EXPECT_NE(loss.Make(), nullptr) << loss.traits().name;
  }
}

TEST(RegistryTest, EveryLossSaysWhatItIs) {
  for (const LossConfig& loss : AllLosses()) {
    const LossTraits& traits = loss.traits();
    EXPECT_TRUE(absl::EndsWith(traits.summary, ".")) << traits.name;
    EXPECT_FALSE(traits.source.empty()) << traits.name;
    EXPECT_FALSE(traits.definition.empty()) << traits.name;
    EXPECT_EQ(traits.usable_in_plan, traits.name != "GANLoss");
    EXPECT_EQ(traits.takes_gt_seg, traits.name == "MalisLoss");
  }
}

TEST(RegistryTest, EveryOptionSaysWhatItIs) {
  for (LossConfig loss : AllLosses()) {
    std::set<absl::string_view> names;
    for (const Option& option : loss.Options()) {
      EXPECT_TRUE(names.insert(option.name).second) << loss.traits().name << "." << option.name;
      if (std::holds_alternative<FunctionField>(option.field)) continue;
      EXPECT_TRUE(absl::EndsWith(option.summary, ".")) << loss.traits().name << "." << option.name;
    }
  }
}

}  // namespace
}  // namespace lossd
