#ifndef SERVER_OBSERVABILITY_STATUS_PAGE_H_
#define SERVER_OBSERVABILITY_STATUS_PAGE_H_

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "server/observability/call_record.h"
#include "server/observability/server_state.h"

namespace lossd {

// What the status page shows.
struct Status {
  Facts build;
  Facts config;
  ServerState state;
  std::vector<CallRecord> slow;
  std::vector<CallRecord> failed;
  std::vector<prometheus::MetricFamily> metrics;  // Of which histograms become pictures.
};

// A page of plain HTML that refreshes itself, with everything in it: no script, and nothing that
// is fetched. What clients have sent is escaped.
std::string StatusPage(const Status& status);

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_STATUS_PAGE_H_
