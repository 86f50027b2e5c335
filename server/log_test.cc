#include "server/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <limits>
#include <memory>
#include <sstream>

namespace lossd {
namespace {

using testing::EndsWith;
using testing::MatchesRegex;

constexpr int64_t kThree = 3;

// What one call writes.
std::string Line(Log::Format format, absl::string_view request, absl::string_view event,
                 std::initializer_list<LogField> fields) {
  std::ostringstream out;
  Log log(format, spdlog::level::info, std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  log.Write(spdlog::level::debug, request, "below the level", {});
  log.Write(spdlog::level::warn, request, event, fields);
  return out.str();
}

TEST(LogTest, WritesText) {
  EXPECT_THAT(
      Line(Log::Format::kText, "r1", "computed", {{"terms", kThree}, {"seconds", 0.25}}),
      MatchesRegex("20..-..-..T..:..:..\\....Z warning \\[r1\\] computed terms=3 seconds=0.25\n"));
  EXPECT_THAT(Line(Log::Format::kText, "", "serving", {}), EndsWith(" warning serving\n"));
}

TEST(LogTest, WritesJson) {
  EXPECT_THAT(
      Line(Log::Format::kJson, "r1", "computed", {{"terms", kThree}, {"client", "ipv4:x"}}),
      MatchesRegex(
          "\\{\"time\":\"20..-..-..T..:..:..\\....Z\",\"level\":\"warning\",\"request\":\"r1\","
          "\"event\":\"computed\",\"terms\":3,\"client\":\"ipv4:x\"\\}\n"));
}

TEST(LogTest, KeepsAnEventOnOneLineWhateverItHolds) {
  for (const Log::Format format : {Log::Format::kText, Log::Format::kJson}) {
    EXPECT_THAT(Line(format, "", "refused", {{"error", "a\n\"b\"\\\xff"}}),
                testing::HasSubstr(R"("a\u000a\"b\"\\\u00ff")"));
  }
}

TEST(LogTest, WritesNumbersThatJsonLacksAsNull) {
  EXPECT_THAT(Line(Log::Format::kJson, "", "x", {{"v", std::numeric_limits<double>::infinity()}}),
              EndsWith("\"v\":null}\n"));
}

}  // namespace
}  // namespace lossd
