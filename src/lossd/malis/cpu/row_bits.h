#ifndef LOSSD_MALIS_CPU_ROW_BITS_H_
#define LOSSD_MALIS_CPU_ROW_BITS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lossd/base/vectorized.h"
#include "lossd/malis/grid.h"

namespace lossd {

// Bit i is bit x + i of so many words; x may be negative, and what is in none of them is 0.
LOSSD_VECTORIZED uint64_t BitsFrom(const uint64_t* row, int64_t words, int64_t x) {
  const int64_t k = x >> 6;
  const auto shift = static_cast<int>(x & 63);
  const uint64_t low = k < 0 || k >= words ? 0 : row[k] >> shift;
  const uint64_t high = shift == 0 || k + 1 < 0 || k + 1 >= words ? 0 : row[k + 1] << (64 - shift);
  return low | high;
}

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

  // The words of a row; those of the next follow.
  const uint64_t* Row(int64_t row) const { return bits_.data() + row * words_; }

  // Bit i is the voxel x + i of a row; x may be negative, and what is not in the row is 0.
  uint64_t From(int64_t row, int64_t x) const { return BitsFrom(Row(row), words_, x); }

 private:
  int64_t words_;
  std::vector<uint64_t> bits_;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_ROW_BITS_H_
