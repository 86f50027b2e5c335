#ifndef SERVER_OBSERVABILITY_METRICS_H_
#define SERVER_OBSERVABILITY_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/observability/call_record.h"
#include "server/observability/labelled.h"
#include "server/observability/server_state.h"

namespace lossd {

// What Prometheus scrapes: counters and histograms of calls, and the server's state at the moment.
// Times are in seconds, sizes in bytes. docs/server.md lists all. Thread-safe.
class Metrics {
 public:
  // `build` is told as the labels of lossd_build_info; `state` is asked at each scrape, on any
  // thread, while this lives.
  Metrics(const Facts& build, std::function<ServerState()> state);

  // Counts a call that has ended.
  void Count(const CallRecord& call);

  // All of it, as it is now.
  std::vector<prometheus::MetricFamily> Collect() const;

  // The same in Prometheus's text format.
  std::string Text() const;

 private:
  using Counters = Labelled<prometheus::Counter>;
  using Histograms = Labelled<prometheus::Histogram, prometheus::Histogram::BucketBoundaries>;

  prometheus::Family<prometheus::Counter>& CounterFamily(const std::string& name,
                                                         const std::string& help);
  prometheus::Family<prometheus::Histogram>& HistogramFamily(const std::string& name,
                                                             const std::string& help);
  void CountWork(const CallRecord& call);
  void CountClient(const CallRecord& call);

  prometheus::Registry registry_;
  const std::function<ServerState()> state_;
  Counters requests_;
  Counters rejected_;
  prometheus::Counter& voxels_;
  prometheus::Family<prometheus::Counter>& pairs_;
  prometheus::Counter& negative_pairs_;
  prometheus::Counter& positive_pairs_;
  prometheus::Counter& busy_;
  Counters client_requests_;
  Counters client_compute_;
  Histograms request_seconds_;
  Histograms queue_seconds_;
  Histograms stage_seconds_;
  Histograms function_seconds_;
  Histograms request_bytes_;
  Histograms response_bytes_;
  absl::Mutex mutex_;
  std::set<std::string> clients_ ABSL_GUARDED_BY(mutex_);  // That have a label of their own.
};

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_METRICS_H_
