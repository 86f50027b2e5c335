#include "lossd/losses/registry.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::testing::ElementsAreArray;
using ::testing::UnorderedElementsAreArray;

const google::protobuf::OneofDescriptor& OptionsOneof() {
  return *v1::LossOptions::descriptor()->FindOneofByName("loss");
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const LossTraits& loss : AllLosses()) names.emplace_back(loss.name);
  return names;
}

// Options in which `field` of the oneof is set, to defaults.
v1::LossOptions DefaultsOf(const FieldDescriptor* field) {
  v1::LossOptions options;
  options.GetReflection()->MutableMessage(&options, field);
  return options;
}

TEST(RegistryTest, IsInAlphabeticalOrder) {
  std::vector<std::string> sorted = Names();
  std::sort(sorted.begin(), sorted.end());
  EXPECT_THAT(Names(), ElementsAreArray(sorted));
  EXPECT_EQ(sorted.size(), 24U);
}

TEST(RegistryTest, HasTheLossesOfTheContract) {
  std::vector<std::string> messages;
  for (int i = 0; i < OptionsOneof().field_count(); ++i) {
    messages.push_back(OptionsOneof().field(i)->message_type()->name());
  }
  std::vector<std::string> expected;
  for (const std::string& name : Names()) expected.push_back(absl::StrCat(name, "Options"));
  EXPECT_THAT(messages, UnorderedElementsAreArray(expected));
}

TEST(RegistryTest, NamesFindLosses) {
  for (int i = 0; i < OptionsOneof().field_count(); ++i) {
    const v1::LossOptions options = DefaultsOf(OptionsOneof().field(i));
    const LossTraits* loss = FindLoss(LossName(options));
    ASSERT_NE(loss, nullptr) << OptionsOneof().field(i)->name();
    EXPECT_EQ(loss->name, LossName(options));
  }
  EXPECT_EQ(FindLoss("NoLoss"), nullptr);
  EXPECT_EQ(LossName(v1::LossOptions()), "");
}

TEST(RegistryTest, DefaultsMakeEveryLoss) {
  for (int i = 0; i < OptionsOneof().field_count(); ++i) {
    const v1::LossOptions options = DefaultsOf(OptionsOneof().field(i));
    const auto loss = FindLoss(LossName(options))->create(options);
    EXPECT_TRUE(loss.ok()) << LossName(options) << ": " << loss.status();
  }
}

TEST(RegistryTest, EveryLossSaysWhatItIs) {
  for (const LossTraits& loss : AllLosses()) {
    EXPECT_TRUE(absl::EndsWith(loss.summary, ".")) << loss.name;
    EXPECT_FALSE(loss.source.empty()) << loss.name;
    EXPECT_NE(loss.call_kind, v1::CALL_KIND_UNSPECIFIED) << loss.name;
    EXPECT_NE(loss.target_kind, v1::TARGET_KIND_UNSPECIFIED) << loss.name;
    EXPECT_NE(loss.spatial_weight_arg, v1::SPATIAL_WEIGHT_ARG_UNSPECIFIED) << loss.name;
    EXPECT_EQ(loss.usable_in_plan, loss.name != "GANLoss");
    EXPECT_EQ(loss.takes_gt_seg, loss.name == "MalisLoss");
  }
}

// Plan readers turn "mean" into REDUCTION_MEAN and the absence of an option into its default.
TEST(RegistryTest, OptionsCanBeReadByReflection) {
  for (int i = 0; i < OptionsOneof().field_count(); ++i) {
    const google::protobuf::Descriptor* message = OptionsOneof().field(i)->message_type();
    for (int f = 0; f < message->field_count(); ++f) {
      const FieldDescriptor* field = message->field(f);
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) continue;
      EXPECT_NE(field->default_value_enum()->number(), 0) << field->full_name();
    }
  }
}

}  // namespace
}  // namespace lossd
