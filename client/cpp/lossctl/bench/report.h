#ifndef LOSSCTL_BENCH_REPORT_H_
#define LOSSCTL_BENCH_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "lossctl/bench/summary.h"

namespace lossd {

// What was sent.
struct BenchSetup {
  int64_t batch = 0;
  int64_t size = 0;
  std::string dtype;
  std::string transport;
  std::optional<double> rate = {};
  bool refusals = false;  // Whether they are counted.
};

// What came of it with so many requests at a time.
struct BenchLevel {
  int concurrency = 0;
  Summary summary;
  int windows = 0;
  bool stable = false;  // Or all that was asked for.
};

// For people: a line a level. Times in milliseconds, 1 MB = 10⁶ bytes.
std::string ReportTable(const BenchSetup& setup, absl::Span<const BenchLevel> levels);

// For programs: one JSON object. Times in seconds.
std::string ReportJson(const BenchSetup& setup, absl::Span<const BenchLevel> levels);

}  // namespace lossd

#endif  // LOSSCTL_BENCH_REPORT_H_
