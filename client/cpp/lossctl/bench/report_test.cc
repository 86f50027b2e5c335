#include "lossctl/bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lossd {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kMegabyte = 1e6;

BenchSetup MadeUp() { return {.batch = 2, .size = 64, .dtype = "float16", .transport = "stream"}; }

BenchLevel Level(int concurrency, bool stable) {
  BenchLevel level = {.concurrency = concurrency, .summary = {}, .windows = 4, .stable = stable};
  level.summary.requests = 30;
  level.summary.length = absl::Seconds(6);
  level.summary.requests_per_second = 5;
  level.summary.bytes_sent = 3 * kMegabyte;
  level.summary.bytes_received = 1 * kMegabyte;
  level.summary.latency.p50 = absl::Milliseconds(12);
  level.summary.latency.p99 = absl::Milliseconds(34);
  level.summary.timings.client_send = absl::Milliseconds(7);
  level.summary.refusals = 8;
  return level;
}

TEST(ReportTableTest, HasALineForEachLevel) {
  const std::string text = ReportTable(MadeUp(), {Level(1, true), Level(16, false)});
  EXPECT_THAT(text, HasSubstr("predictions [2, 3, 64, 64, 64] float16"));
  EXPECT_THAT(text, HasSubstr("3.00 MB sent and 1.00 MB received"));
  EXPECT_THAT(text, HasSubstr("         16        30        5.00     20.0      12.0"));
  EXPECT_THAT(text, HasSubstr("         16         7.00"));
  EXPECT_THAT(text, HasSubstr("not stable after 4 windows, 16 at a time"));
  EXPECT_THAT(text, Not(HasSubstr("windows, 1 at a time")));
  BenchSetup at_a_rate = MadeUp();
  at_a_rate.rate = 12.5;
  EXPECT_THAT(ReportTable(at_a_rate, {Level(1, true)}), HasSubstr("; 12.5 are due a second\n"));
  EXPECT_THAT(text, Not(HasSubstr("refusals")));
  at_a_rate.refusals = true;
  EXPECT_THAT(ReportTable(at_a_rate, {Level(16, true)}), HasSubstr("         16         8"));
}

TEST(ReportJsonTest, IsOneObject) {
  const std::string json = ReportJson(MadeUp(), {Level(16, false)});
  EXPECT_EQ(json,
            R"({"batch": 2, "size": 64, "dtype": "float16", "transport": "stream", "rate": null, )"
            R"("levels": [{"concurrency": 16, "requests": 30, "seconds": 6, "windows": 4, )"
            R"("stable": false, "requests_per_second": 5, "bytes_sent": 3000000, )"
            R"("bytes_received": 1000000, "latency_seconds": {"mean": 0, "p50": 0.012, "p90": 0, )"
            R"("p95": 0, "p99": 0.034, "max": 0}, "refusals": 8, "refusal_seconds": {"mean": 0, )"
            R"("p50": 0, "p90": 0, "p95": 0, "p99": 0, "max": 0}, )"
            R"("stage_seconds": {"client_send": 0.007, )"
            R"("network": 0, "queue": 0, "decode": 0, "compute": 0, "encode": 0, )"
            R"("client_receive": 0}, "server_receive_seconds": 0}]})"
            "\n");
}

}  // namespace
}  // namespace lossd
