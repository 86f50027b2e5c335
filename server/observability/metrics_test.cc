#include "server/observability/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

using testing::HasSubstr;
using testing::Not;

CallRecord Computed(const std::string& client) {
  CallRecord call;
  call.client = client;
  call.method = "Compute";
  call.transport = "unary";
  call.total = absl::Seconds(2);
  call.queue = absl::Milliseconds(30);
  call.compute = absl::Seconds(1.5);
  call.functions = {{.function = "MalisLoss", .time = absl::Seconds(1.25)}};
  call.bytes_received = 1'000'000;
  call.voxels = 4096;
  call.negative_pairs = 30;
  call.positive_pairs = 5;
  return call;
}

TEST(MetricsTest, CountsWhatACallCost) {
  Metrics metrics({{"version", "1.2"}}, [] { return ServerState(); });
  metrics.Count(Computed("anna"));
  metrics.Count(Computed("anna"));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr(R"(lossd_requests_total{code="OK",method="Compute",reason=""} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_request_seconds_sum{method="Compute"} 4)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_queue_seconds_bucket{method="Compute",le="0.05"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_stage_seconds_sum{stage="compute"} 3)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_function_seconds_sum{function="MalisLoss"} 2.5)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_request_bytes_sum{transport="unary"} 2000000)"));
  EXPECT_THAT(text, HasSubstr("lossd_voxels_total 8192"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_malis_pairs_total{pass="negative"} 60)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_malis_pairs_total{pass="positive"} 10)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_client_compute_seconds_total{client="anna"} 3)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_build_info{version="1.2"} 1)"));
}

TEST(MetricsTest, CountsFailuresByReason) {
  Metrics metrics({}, [] { return ServerState(); });
  CallRecord call;
  call.method = "Compute";
  call.status = WithReason("QUEUE_FULL", absl::ResourceExhaustedError("full"));
  metrics.Count(call);
  call.status = absl::InvalidArgumentError("wrong");
  metrics.Count(call);
  const std::string text = metrics.Text();
  EXPECT_THAT(text,
              HasSubstr(R"(code="RESOURCE_EXHAUSTED",method="Compute",reason="QUEUE_FULL"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_rejected_total{reason="QUEUE_FULL"} 1)"));
  EXPECT_THAT(
      text, HasSubstr(R"(code="INVALID_ARGUMENT",method="Compute",reason="INVALID_ARGUMENT"} 1)"));
  EXPECT_THAT(text, Not(HasSubstr(R"(lossd_rejected_total{reason="INVALID_ARGUMENT"})")));
  EXPECT_THAT(text, Not(HasSubstr("lossd_stage_seconds_sum")));
}

TEST(MetricsTest, BoundsTheClientsThatHaveALabel) {
  Metrics metrics({}, [] { return ServerState(); });
  for (int i = 0; i < 103; ++i) metrics.Count(Computed(absl::StrCat("client", i)));
  metrics.Count(Computed("client7"));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr(R"(lossd_client_requests_total{client="client7"} 2)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_client_requests_total{client="client99"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(lossd_client_requests_total{client="other"} 3)"));
  EXPECT_THAT(text, Not(HasSubstr("client100")));
}

TEST(MetricsTest, AsksForTheStateAtEachScrape) {
  ServerState state;
  const Metrics metrics({}, [&state] { return state; });
  EXPECT_THAT(metrics.Text(), HasSubstr("lossd_queue_requests 0"));
  state.waiting_calls = 3;
  state.draining = true;
  state.plan_cache_hits = 5;
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("lossd_queue_requests 3"));
  EXPECT_THAT(text, HasSubstr("lossd_draining 1"));
  EXPECT_THAT(text, HasSubstr("lossd_plan_cache_hits_total 5"));
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_open_fds", "process_start_time_seconds"}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", name, " ")));
  }
}

}  // namespace
}  // namespace lossd
