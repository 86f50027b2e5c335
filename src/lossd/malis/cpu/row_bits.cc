#include "lossd/malis/cpu/row_bits.h"

#include <algorithm>
#include <cstring>

namespace lossd {
namespace {

// Bit i is whether flags[i] is not 0, for i < count <= 64.
uint64_t PackWord(const uint8_t* flags, int64_t count) {
  // Moves bit 8·k of a word to bit 56 + k.
  constexpr uint64_t kGather = 0x0102040810204080;
  uint64_t bits = 0;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    uint64_t bytes;
    std::memcpy(&bytes, flags + i, sizeof(bytes));
    // Any bit of a byte becomes its lowest.
    bytes |= bytes >> 4 & 0x0f0f0f0f0f0f0f0f;
    bytes |= bytes >> 2;
    bytes |= bytes >> 1;
    bytes &= 0x0101010101010101;
    bits |= (bytes * kGather >> 56) << i;
  }
  for (; i < count; ++i) bits |= static_cast<uint64_t>(flags[i] != 0) << i;
  return bits;
}

}  // namespace

void RowBits::Pack(int64_t row, int64_t x, const uint8_t* flags, int64_t count) {
  for (int64_t i = 0; i < count;) {
    const int64_t shift = (x + i) % 64;
    const int64_t size = std::min(count - i, 64 - shift);
    Word(row, (x + i) / 64) |= PackWord(flags + i, size) << shift;
    i += size;
  }
}

}  // namespace lossd
