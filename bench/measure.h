#ifndef BENCH_MEASURE_H_
#define BENCH_MEASURE_H_

#include <functional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lossd {

// How long `body` takes.
double Milliseconds(absl::FunctionRef<void()> body);

// Of at least one value.
double Median(std::vector<double> values);

// The median of what each of `bodies` gives in so many rounds. They take turns, as the speed of
// machines drifts; a tenth as many rounds, but at least two, warm up before. The first error ends
// it.
absl::StatusOr<std::vector<double>> MediansInTurns(
    int rounds, absl::Span<const std::function<absl::StatusOr<double>()>> bodies);

// What a figure may be.
struct Limit {
  enum class Kind { kAtLeast, kAtMost } kind;
  double value;
};

// Prints a line about one of the figures that lossd promises; scripts/bench.sh gathers them.
void PrintFigure(int number, double value, Limit limit, absl::string_view what);

}  // namespace lossd

#endif  // BENCH_MEASURE_H_
