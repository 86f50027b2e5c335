#include "lossd/malis/cpu/voxel_runs.h"

#include <utility>

#include "lossd/base/instruction_sets.h"

namespace lossd {
namespace {

// Returns how many bits are set in all rows; before[i] is how many are in words before the i-th.
LOSSD_CLONES uint32_t CountBits(const RowBits& bits, int64_t rows, uint32_t* before) {
  uint32_t count = 0;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t k = 0; k < bits.words(); ++k) {
      *before++ = count;
      count += static_cast<uint32_t>(std::popcount(bits.Word(row, k)));
    }
  }
  return count;
}

}  // namespace

VoxelRuns::VoxelRuns(RowBits starts, RowBits joined, int64_t rows)
    : starts_(std::move(starts)),
      joined_(std::move(joined)),
      before_(rows * starts_.words()),
      count_(CountBits(starts_, rows, before_.data())) {}

}  // namespace lossd
