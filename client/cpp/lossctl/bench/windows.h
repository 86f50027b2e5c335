#ifndef LOSSCTL_BENCH_WINDOWS_H_
#define LOSSCTL_BENCH_WINDOWS_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lossd/result.h"

namespace lossd {

// A request that was answered.
struct Sample {
  absl::Duration latency;  // From when it was due.
  CallTimings timings;
  CallBytes bytes;
};

// The requests that were answered in a stretch of time.
struct Window {
  std::vector<Sample> samples;
  std::vector<absl::Duration> refusals = {};  // When these were told, from when they were due.
  absl::Duration length;
};

// How many windows in a row must be alike, and how much throughput and p90 of each may differ from
// their mean: the rule of NVIDIA's perf_analyzer.
inline constexpr int kAlikeWindows = 3;
inline constexpr double kTolerance = 0.1;

// Whether windows, each with a sample, are alike.
bool AreAlike(absl::Span<const Window> windows);

struct Measurement {
  Window window;    // The last kAlikeWindows together; fewer where there were no more.
  int windows = 0;  // That were measured in all.
  bool stable = false;
};

// Measures windows until the last ones are alike, but at most `max_windows` >= 1.
absl::StatusOr<Measurement> MeasureUntilStable(absl::FunctionRef<absl::StatusOr<Window>()> next,
                                               int max_windows);

}  // namespace lossd

#endif  // LOSSCTL_BENCH_WINDOWS_H_
