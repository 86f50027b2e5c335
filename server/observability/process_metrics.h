#ifndef SERVER_OBSERVABILITY_PROCESS_METRICS_H_
#define SERVER_OBSERVABILITY_PROCESS_METRICS_H_

#include <prometheus/metric_family.h>

#include <vector>

namespace lossd {

// What Prometheus's clients tell of their process under the names process_*; what the system does
// not say is left out. https://prometheus.io/docs/instrumenting/writing_clientlibs#process-metrics
std::vector<prometheus::MetricFamily> ProcessMetrics();

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_PROCESS_METRICS_H_
