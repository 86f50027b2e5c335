#ifndef LOSSCTL_BENCH_CONCURRENCY_H_
#define LOSSCTL_BENCH_CONCURRENCY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lossd {

// Reads "N" or "LO:HI[:STEP]": how many requests at a time, one measurement each. A FieldError
// about
// "--concurrency" unless these are 1 to 1024, LO at most HI.
absl::StatusOr<std::vector<int>> ReadConcurrency(absl::string_view text);

}  // namespace lossd

#endif  // LOSSCTL_BENCH_CONCURRENCY_H_
