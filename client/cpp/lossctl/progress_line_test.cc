#include "lossctl/progress_line.h"

#include <gtest/gtest.h>

#include <sstream>

namespace lossd {
namespace {

constexpr Progress kHalfSent = {.sent = 5'000'000, .to_send = 10'000'000};

TEST(ProgressLineTest, SaysHowFarItIsAndIsCleared) {
  std::ostringstream terminal;
  {
    ProgressLine line(terminal, absl::ZeroDuration());
    line.Show(kHalfSent);
    EXPECT_EQ(terminal.str(), "\r\033[Ksent 5.0 of 10.0 MB");
    terminal.str("");
    line.Show(kHalfSent);
    EXPECT_EQ(terminal.str(), "") << "too soon to be read";
  }
  EXPECT_EQ(terminal.str(), "\r\033[K");
}

TEST(ProgressLineTest, FollowsTheCall) {
  const auto shown = [](const Progress& progress) {
    std::ostringstream terminal;
    ProgressLine(terminal, absl::ZeroDuration()).Show(progress);
    return terminal.str();
  };
  constexpr int64_t kAll = 2'000'000;
  EXPECT_EQ(shown({.sent = kAll, .to_send = kAll}),
            "\r\033[Ksent 2.0 of 2.0 MB, waiting for the answer\r\033[K");
  EXPECT_EQ(shown({.sent = kAll, .to_send = kAll, .received = kAll / 2, .to_receive = kAll}),
            "\r\033[Ksent 2.0 of 2.0 MB, received 1.0 of 2.0 MB\r\033[K");
}

TEST(ProgressLineTest, ShowsNothingOfAShortTransfer) {
  std::ostringstream terminal;
  ProgressLine(terminal, absl::Minutes(1)).Show(kHalfSent);
  EXPECT_EQ(terminal.str(), "");
}

}  // namespace
}  // namespace lossd
