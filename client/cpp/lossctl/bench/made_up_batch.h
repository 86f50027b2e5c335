#ifndef LOSSCTL_BENCH_MADE_UP_BATCH_H_
#define LOSSCTL_BENCH_MADE_UP_BATCH_H_

#include <cstdint>
#include <string>

#include "lossd/compute/batch.h"

namespace lossd {

// Cubes as objects, their three nearest-neighbour affinities as labels, and what a half-trained
// network might predict: the right sign most of the time. `batch` volumes with edges of `size`
// voxels; predictions in "float32", "float16" or "bfloat16".
Batch MakeUpBatch(int64_t batch, int64_t size, const std::string& dtype);

}  // namespace lossd

#endif  // LOSSCTL_BENCH_MADE_UP_BATCH_H_
