#include "bench/measure.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "absl/strings/str_format.h"

namespace lossd {

double Milliseconds(absl::FunctionRef<void()> body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

absl::StatusOr<std::vector<double>> MediansInTurns(
    int rounds, absl::Span<const std::function<absl::StatusOr<double>()>> bodies) {
  const int warm_up = std::max(2, rounds / 10);
  std::vector<std::vector<double>> values(bodies.size());
  for (int round = 0; round < warm_up + rounds; ++round) {
    for (size_t i = 0; i < bodies.size(); ++i) {
      const absl::StatusOr<double> value = bodies[i]();
      if (!value.ok()) return value.status();
      if (round >= warm_up) values[i].push_back(*value);
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& of_one : values) medians.push_back(Median(std::move(of_one)));
  return medians;
}

void PrintFigure(int number, double value, Limit limit, absl::string_view what) {
  const bool at_least = limit.kind == Limit::Kind::kAtLeast;
  const bool kept = at_least ? value >= limit.value : value <= limit.value;
  absl::PrintF("figure %d: %.3f (limit: %s %g, %s) %s\n", number, value,
               at_least ? "at least" : "at most", limit.value, kept ? "ok" : "MISSED", what);
  std::fflush(stdout);
}

}  // namespace lossd
