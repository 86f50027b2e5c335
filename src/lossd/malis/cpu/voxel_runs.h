#ifndef LOSSD_MALIS_CPU_VOXEL_RUNS_H_
#define LOSSD_MALIS_CPU_VOXEL_RUNS_H_

#include <bit>
#include <cstdint>
#include <vector>

#include "lossd/malis/cpu/kernels.h"
#include "lossd/malis/cpu/row_bits.h"

namespace lossd {

// Runs of consecutive voxels along x, numbered 0, 1, … from the volume's first voxel on. Next to
// the bits that say where runs start there is, for every 64 voxels, a count of those before (the
// rank of a bit vector: Jacobson, FOCS 1989), so that a voxel's run is found at once.
class VoxelRuns {
 public:
  // starts: the first voxels of the runs; joined: voxels in the run of the voxel before.
  VoxelRuns(RowBits starts, RowBits joined, int64_t rows);

  // In all rows; fewer than 2³².
  uint32_t count() const { return count_; }

  RunRow Row(int64_t row) const {
    return {.starts = starts_.Row(row),
            .before = before_.data() + row * starts_.words(),
            .words = starts_.words()};
  }

  // Calls run(number, first x, end x) for the runs of a row, in their order.
  template <typename Run>
  void ForEach(int64_t row, const Run& run) const {
    uint32_t number = before_[row * starts_.words()];
    for (int64_t k = 0; k < starts_.words(); ++k) {
      for (uint64_t left = starts_.Word(row, k); left != 0; left &= left - 1) {
        const int64_t x = 64 * k + std::countr_zero(left);
        run(number++, x, End(row, x));
      }
    }
  }

 private:
  // The end of the run that starts at x.
  int64_t End(int64_t row, int64_t x) const {
    for (++x;; x += 64) {
      const int joined = std::countr_one(joined_.From(row, x));
      if (joined < 64) return x + joined;
    }
  }

  RowBits starts_;
  RowBits joined_;
  std::vector<uint32_t> before_;  // By word: runs that start earlier.
  uint32_t count_ = 0;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_VOXEL_RUNS_H_
