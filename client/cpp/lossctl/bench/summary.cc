#include "lossctl/bench/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

namespace lossd {
namespace {

// The times that a call's timings consist of.
constexpr absl::Duration CallTimings::* kTimings[] = {
    &CallTimings::queue,     &CallTimings::decode,      &CallTimings::compute,
    &CallTimings::encode,    &CallTimings::total,       &CallTimings::receive,
    &CallTimings::network,   &CallTimings::client_send, &CallTimings::client_receive,
    &CallTimings::round_trip};

Latency SummarizeLatencies(std::vector<absl::Duration> sorted) {
  if (sorted.empty()) return {};
  std::ranges::sort(sorted);
  const absl::Duration sum = std::accumulate(sorted.begin(), sorted.end(), absl::ZeroDuration());
  return {.mean = sum / static_cast<double>(sorted.size()),
          .p50 = Percentile(sorted, 0.5),
          .p90 = Percentile(sorted, 0.9),
          .p95 = Percentile(sorted, 0.95),
          .p99 = Percentile(sorted, 0.99),
          .max = sorted.back()};
}

}  // namespace

Summary Summarize(const Window& window) {
  const auto count = static_cast<double>(window.samples.size());
  Summary summary;
  summary.requests = static_cast<int64_t>(window.samples.size());
  summary.length = window.length;
  summary.requests_per_second = count / absl::ToDoubleSeconds(window.length);
  std::vector<absl::Duration> latencies;
  for (const Sample& sample : window.samples) {
    latencies.push_back(sample.latency);
    summary.bytes_sent += static_cast<double>(sample.bytes.sent) / count;
    summary.bytes_received += static_cast<double>(sample.bytes.received) / count;
    for (const auto time : kTimings) summary.timings.*time += sample.timings.*time / count;
  }
  summary.latency = SummarizeLatencies(std::move(latencies));
  summary.refusals = static_cast<int64_t>(window.refusals.size());
  summary.refusal_latency = SummarizeLatencies(window.refusals);
  return summary;
}

absl::Duration Percentile(absl::Span<const absl::Duration> sorted, double share) {
  const auto count = static_cast<double>(sorted.size());
  // What is a whole number but for rounding is one: 0.95 of 20 values are 19.
  const auto rank = static_cast<size_t>(std::ceil(share * count - 1e-9));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

}  // namespace lossd
