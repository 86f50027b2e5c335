#include "lossd/malis/cpu/voxel_runs.h"

#include <utility>

#include "lossd/base/instruction_sets.h"

namespace lossd {

VoxelRuns::VoxelRuns(RowBits starts, RowBits joined, int64_t rows)
    : starts_(std::move(starts)),
      joined_(std::move(joined)),
      before_(rows * starts_.words()),
      count_(CurrentKernels<MalisKernels>().count_bits(starts_.Row(0), rows * starts_.words(),
                                                       before_.data())) {}

}  // namespace lossd
