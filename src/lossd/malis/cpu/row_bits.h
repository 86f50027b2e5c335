#ifndef LOSSD_MALIS_CPU_ROW_BITS_H_
#define LOSSD_MALIS_CPU_ROW_BITS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lossd/malis/grid.h"

namespace lossd {

// A bit for each voxel of a volume, 64 neighbours along x in a word. Row r = z·Y + y; each row
// starts a new word. Rows may be written in parallel.
class RowBits {
 public:
  // All 0.
  explicit RowBits(const GridShape& shape)
      : words_((shape.x + 63) / 64), bits_(shape.z * shape.y * words_) {}

  // Words of a row.
  int64_t words() const { return words_; }
  // Bit i is the voxel 64·k + i of a row; bits past the row's end are 0.
  uint64_t& Word(int64_t row, int64_t k) { return bits_[row * words_ + k]; }
  uint64_t Word(int64_t row, int64_t k) const { return bits_[row * words_ + k]; }

  // Sets the bits of the voxels [x, x + count) of a row, which are 0, where flags are not 0.
  void Pack(int64_t row, int64_t x, const uint8_t* flags, int64_t count);

  // Sets what is set in `other`, of the same shape.
  void Add(const RowBits& other) {
    for (size_t i = 0; i < bits_.size(); ++i) bits_[i] |= other.bits_[i];
  }

  // Bit i is the voxel x + i of a row; x may be negative, and what is not in the row is 0.
  uint64_t From(int64_t row, int64_t x) const {
    const int64_t k = x >> 6;
    const auto shift = static_cast<int>(x & 63);
    const uint64_t low = WordOrNone(row, k) >> shift;
    return shift == 0 ? low : low | WordOrNone(row, k + 1) << (64 - shift);
  }

 private:
  uint64_t WordOrNone(int64_t row, int64_t k) const {
    return k < 0 || k >= words_ ? 0 : Word(row, k);
  }

  int64_t words_;
  std::vector<uint64_t> bits_;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_ROW_BITS_H_
