#include "server/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <memory>
#include <sstream>

#include "absl/time/clock.h"

namespace lossd {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kPatience = absl::Milliseconds(50);

class WatchdogTest : public testing::Test {
 protected:
  static OpenCall Named(const char* id) {
    return {.id = id, .client = "trainer", .method = "Compute", .start = absl::Now()};
  }

  std::ostringstream lines_;
  Log log_{Log::Format::kText, spdlog::level::err,
           std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_)};
  OpenCalls calls_;
  Watchdog watchdog_{calls_, 2, kPatience, log_};
};

TEST_F(WatchdogTest, LeavesThoseAloneThatSomebodyWaitsForOrThatHaveStopped) {
  OpenCalls::Entry waited_for(calls_, Named("waited-for"));
  waited_for.BeginComputing();
  OpenCalls::Entry stopped(calls_, Named("stopped"));
  stopped.BeginComputing();
  stopped.GiveUp();
  stopped.EndComputing();
  OpenCalls::Entry just_gone(calls_, Named("just-gone"));
  just_gone.BeginComputing();
  absl::SleepFor(2 * kPatience);
  just_gone.GiveUp();
  EXPECT_FALSE(watchdog_.Look().has_value());
  EXPECT_EQ(watchdog_.stuck(), 0);
  EXPECT_EQ(lines_.str(), "");
}

TEST_F(WatchdogTest, TellsOnceOfEachThatIsStuck) {
  OpenCalls::Entry one(calls_, Named("one"));
  one.BeginComputing();
  one.GiveUp();
  absl::SleepFor(2 * kPatience);
  one.GiveUp();  // Told twice, it has been given up the first time.
  EXPECT_FALSE(watchdog_.Look().has_value());
  EXPECT_EQ(watchdog_.stuck(), 1);
  EXPECT_THAT(lines_.str(), HasSubstr("[one] stuck method=\"Compute\" client=\"trainer\""));
  lines_.str("");
  EXPECT_FALSE(watchdog_.Look().has_value());
  EXPECT_EQ(lines_.str(), "");

  OpenCalls::Entry other(calls_, Named("other"));
  other.BeginComputing();
  other.GiveUp();
  absl::SleepFor(2 * kPatience);
  EXPECT_EQ(watchdog_.Look(), pthread_self());
  EXPECT_THAT(lines_.str(), HasSubstr("[other] stuck"));
  EXPECT_THAT(lines_.str(), Not(HasSubstr("[one]")));
  EXPECT_THAT(lines_.str(), HasSubstr("every worker is stuck"));
}

}  // namespace
}  // namespace lossd
