#ifndef BENCH_READ_SEGMENTATION_H_
#define BENCH_READ_SEGMENTATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "bench/malis_data.h"

namespace lossd {

// Integers [Z, Y, X] of a .npy file.
absl::StatusOr<Segmentation> ReadSegmentation(const std::string& path);

}  // namespace lossd

#endif  // BENCH_READ_SEGMENTATION_H_
