#include "lossd/plan/nearest_name.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

const std::vector<std::string>& Names() {
  static const auto& names =
      *new std::vector<std::string>{"sigmoid", "softmax", "weight", "DiceLoss", "DiceCELoss"};
  return names;
}

TEST(NearestNameTest, FindsWhatWasMeant) {
  EXPECT_EQ(NearestName("sigmiod", Names()), "sigmoid");
  EXPECT_EQ(NearestName("wieght", Names()), "weight");
  EXPECT_EQ(NearestName("diceloss", Names()), "DiceLoss");
  EXPECT_EQ(NearestName("DiceCeLos", Names()), "DiceCELoss");
  EXPECT_EQ(NearestName("Dice", Names()), "DiceLoss");
  EXPECT_EQ(NearestName("crop_size", std::vector<std::string>{"malis_crop_size"}),
            "malis_crop_size");
}

TEST(NearestNameTest, IsSilentWhenNothingIsClose) {
  EXPECT_EQ(NearestName("MalisLoss", std::vector<std::string>{"sigmoid"}), "");
  EXPECT_EQ(NearestName("", Names()), "");
  EXPECT_EQ(NearestName("x", {}), "");
  EXPECT_EQ(NearestName(std::string(100'000, 's'), Names()), "");
  EXPECT_EQ(DidYouMean("gamma", Names()), "");
}

TEST(NearestNameTest, AsksTheQuestion) {
  EXPECT_EQ(DidYouMean("sigmod", Names()), "; did you mean sigmoid?");
}

TEST(QuotedTest, EscapesAndCutsBetweenCharacters) {
  EXPECT_EQ(Quoted("a\nb"), R"("a\nb")");
  EXPECT_EQ(Quoted("ä"), "\"ä\"");
  std::string umlauts;
  for (int i = 0; i < 60; ++i) umlauts += "ä";
  EXPECT_EQ(Quoted(umlauts), absl::StrCat("\"", umlauts.substr(0, 80), "…\""));
  EXPECT_EQ(Quoted(absl::StrCat("x", umlauts)), absl::StrCat("\"x", umlauts.substr(0, 78), "…\""));
}

}  // namespace
}  // namespace lossd
