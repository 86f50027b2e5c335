#include "lossctl/bench/windows.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "lossctl/bench/summary.h"

namespace lossd {
namespace {

bool AreAlike(const std::vector<double>& values) {
  const double mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  return std::ranges::all_of(
      values, [mean](double value) { return std::abs(value - mean) <= kTolerance * mean; });
}

Window Together(absl::Span<const Window> windows) {
  Window all;
  for (const Window& window : windows) {
    all.samples.insert(all.samples.end(), window.samples.begin(), window.samples.end());
    all.refusals.insert(all.refusals.end(), window.refusals.begin(), window.refusals.end());
    all.length += window.length;
  }
  return all;
}

}  // namespace

bool AreAlike(absl::Span<const Window> windows) {
  std::vector<double> throughputs;
  std::vector<double> p90s;
  for (const Window& window : windows) {
    const Summary summary = Summarize(window);
    throughputs.push_back(summary.requests_per_second);
    p90s.push_back(absl::ToDoubleSeconds(summary.latency.p90));
  }
  return AreAlike(throughputs) && AreAlike(p90s);
}

absl::StatusOr<Measurement> MeasureUntilStable(absl::FunctionRef<absl::StatusOr<Window>()> next,
                                               int max_windows) {
  Measurement measurement;
  std::vector<Window> last;
  while (measurement.windows < max_windows && !measurement.stable) {
    absl::StatusOr<Window> window = next();
    if (!window.ok()) return window.status();
    ++measurement.windows;
    if (last.size() == kAlikeWindows) last.erase(last.begin());
    last.push_back(*std::move(window));
    measurement.stable = last.size() == kAlikeWindows && AreAlike(last);
  }
  measurement.window = Together(last);
  return measurement;
}

}  // namespace lossd
