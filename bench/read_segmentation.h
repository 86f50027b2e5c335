#ifndef BENCH_READ_SEGMENTATION_H_
#define BENCH_READ_SEGMENTATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "bench/malis_data.h"

namespace lossd {

// Integers [Z, Y, X] of a .npy file.
absl::StatusOr<Segmentation> ReadSegmentation(const std::string& path);

// What a benchmark's first argument names, a training volume of at least 256³ voxels; without one
// synthetic neurites. Ends the program, and says why, where it cannot be read.
Segmentation SegmentationOfArguments(int argc, char** argv);

}  // namespace lossd

#endif  // BENCH_READ_SEGMENTATION_H_
