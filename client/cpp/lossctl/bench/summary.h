#ifndef LOSSCTL_BENCH_SUMMARY_H_
#define LOSSCTL_BENCH_SUMMARY_H_

#include <cstdint>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lossctl/bench/windows.h"
#include "lossd/result.h"

namespace lossd {

struct Latency {
  absl::Duration mean;
  absl::Duration p50;
  absl::Duration p90;
  absl::Duration p95;
  absl::Duration p99;
  absl::Duration max;
};

// What a window comes to.
struct Summary {
  int64_t requests = 0;
  absl::Duration length;
  double requests_per_second = 0;
  double bytes_sent = 0;      // A request, on average;
  double bytes_received = 0;  // likewise.
  Latency latency;
  CallTimings timings;  // On average.
  int64_t refusals = 0;
  Latency refusal_latency;  // Zeros where there are none.
};

// Of a window with a sample.
Summary Summarize(const Window& window);

// The least of the sorted values that a share of them, in (0, 1], does not exceed.
absl::Duration Percentile(absl::Span<const absl::Duration> sorted, double share);

}  // namespace lossd

#endif  // LOSSCTL_BENCH_SUMMARY_H_
