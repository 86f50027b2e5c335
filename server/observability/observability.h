#ifndef SERVER_OBSERVABILITY_OBSERVABILITY_H_
#define SERVER_OBSERVABILITY_OBSERVABILITY_H_

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/observability/http_server.h"
#include "server/observability/metrics.h"
#include "server/observability/recent_calls.h"

namespace lossd {

// What whoever runs the server sees of it. Thread-safe.
class Observability {
 public:
  // As Metrics and RecentCalls; `config` is shown as it is.
  Observability(Facts build, Facts config, std::function<ServerState()> state, absl::Duration slow)
      : build_(std::move(build)),
        config_(std::move(config)),
        state_(std::move(state)),
        metrics_(build_, state_),
        recent_(slow) {}

  // Takes note of a call that has ended; whether it was a slow one.
  bool Note(const CallRecord& call) {
    metrics_.Count(call);
    return recent_.Note(call);
  }

  // What is served over HTTP: the status page, /metrics for Prometheus, /healthz (the process
  // lives) and /readyz (it takes calls). They use this, which must outlive them.
  HttpServer::Pages Pages() const;

 private:
  const Facts build_;
  const Facts config_;
  const std::function<ServerState()> state_;
  Metrics metrics_;
  RecentCalls recent_;
};

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_OBSERVABILITY_H_
