#include "server/observability/status_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace lossd {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(StatusPageTest, ShowsWhatThereIsAndEscapesWhatClientsSent) {
  Status status;
  status.build = {{"version", "1.2"}};
  status.config = {{"threads", "2"}};
  status.state.draining = true;
  status.state.open_calls = {
      {.id = "open<1>", .client = "a&b", .method = "Compute", .start = absl::Now()}};
  CallRecord failed;
  failed.id = "failed";
  failed.start = absl::Now();
  failed.status = absl::InvalidArgumentError("<script>alert(1)</script>");
  status.failed = {failed};
  const std::string page = StatusPage(status);
  EXPECT_THAT(page, HasSubstr("http-equiv=\"refresh\""));
  EXPECT_THAT(page, HasSubstr(">draining<"));
  EXPECT_THAT(page, HasSubstr("<th>version</th><td>1.2</td>"));
  EXPECT_THAT(page, HasSubstr("open&lt;1&gt;"));
  EXPECT_THAT(page, HasSubstr("a&amp;b"));
  EXPECT_THAT(page, HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
}

TEST(StatusPageTest, DrawsHistograms) {
  prometheus::MetricFamily family;
  family.name = "lossd_request_seconds";
  family.type = prometheus::MetricType::Histogram;
  prometheus::ClientMetric metric;
  metric.label = {{"method", "Compute"}};
  metric.histogram = {.sample_count = 4, .sample_sum = 2, .bucket = {{1, 0.1}, {4, 1}}};
  family.metric = {metric};
  Status status;
  status.metrics = {family};
  const std::string page = StatusPage(status);
  EXPECT_THAT(page, HasSubstr("lossd_request_seconds Compute: 4, mean 0.5"));
  EXPECT_THAT(page, HasSubstr("<title>up to 0.1: 1</title>"));
  EXPECT_THAT(page, HasSubstr("<title>up to 1: 3</title>"));
}

}  // namespace
}  // namespace lossd
