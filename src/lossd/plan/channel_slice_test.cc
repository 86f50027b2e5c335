#include "lossd/plan/channel_slice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

std::optional<ChannelRange> Resolve(absl::string_view text, int64_t channels) {
  const auto slice = ParseChannelSlice(text);
  if (!slice.ok()) return std::nullopt;
  const auto range = ResolveChannelSlice(*slice, channels);
  return range.ok() ? std::optional(*range) : std::nullopt;
}

TEST(ChannelSliceTest, FollowsPython) {
  EXPECT_EQ(Resolve("2", 4), (ChannelRange{2, 3}));
  EXPECT_EQ(Resolve("-1", 4), (ChannelRange{3, 4}));
  EXPECT_EQ(Resolve("-4", 4), (ChannelRange{0, 1}));
  EXPECT_EQ(Resolve(":", 4), (ChannelRange{0, 4}));
  EXPECT_EQ(Resolve("1:3", 4), (ChannelRange{1, 3}));
  EXPECT_EQ(Resolve("1:", 4), (ChannelRange{1, 4}));
  EXPECT_EQ(Resolve(":-1", 4), (ChannelRange{0, 3}));
  EXPECT_EQ(Resolve("-2:", 4), (ChannelRange{2, 4}));
  EXPECT_EQ(Resolve(" 0 : 4 ", 4), (ChannelRange{0, 4}));
}

TEST(ChannelSliceTest, OutOfRangeAndEmptyAreErrors) {
  for (const char* text : {"4", "-5", "0:5", "-5:2", "4:", "2:2", "3:1", "-1:-2", ":0", "-1:0"}) {
    EXPECT_EQ(Resolve(text, 4), std::nullopt) << text;
  }
  const auto slice = ParseChannelSlice("0:5");
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(ResolveChannelSlice(*slice, 4).status().message(),
            "got 0:5, expected a non-empty range within 4 channels");
}

TEST(ChannelSliceTest, RefusesWhatIsNoSlice) {
  for (const char* text : {"", " ", "a", "1:2:1", "1.0", "0x1", "1-2", "::", "1:b",
                           "9223372036854775808", "9223372036854775807"}) {
    const auto slice = ParseChannelSlice(text);
    EXPECT_FALSE(slice.ok()) << text;
    EXPECT_THAT(std::string(slice.status().message()), testing::HasSubstr("expected a channel"));
  }
}

// Brute force over the number of channels.
TEST(ChannelSliceTest, CheckFindsExactlyTheSlicesThatAreNeverARange) {
  for (int start = -4; start <= 4; ++start) {
    for (int stop = -4; stop <= 4; ++stop) {
      const auto slice = ParseChannelSlice(absl::StrCat(start, ":", stop));
      ASSERT_TRUE(slice.ok());
      bool ever = false;
      for (int64_t channels = 1; channels <= 20; ++channels) {
        ever = ever || ResolveChannelSlice(*slice, channels).ok();
      }
      EXPECT_EQ(CheckChannelSlice(*slice).ok(), ever) << start << ":" << stop;
    }
  }
}

TEST(ChannelSliceTest, FormatsWhatItReads) {
  for (const char* text : {":", "1:", ":-1", "-3:2"}) {
    EXPECT_EQ(FormatChannelSlice(*ParseChannelSlice(text)), text);
  }
  EXPECT_EQ(FormatChannelSlice(*ParseChannelSlice("-1")), "-1:");
}

}  // namespace
}  // namespace lossd
