#include "lossd/malis/cpu/kernels.h"

#include <cstring>

#include "lossd/base/vectorized.h"
#include "lossd/malis/cpu/row_bits.h"

namespace lossd {
namespace LOSSD_LEVEL {
namespace {

using Keys = EdgeKey __attribute__((vector_size(kVectorKeys * sizeof(EdgeKey))));

void FindBounds(const EdgeKey* edges, const EdgeCycle* cycles, size_t cycle_count, int64_t count,
                EdgeKey* bounds) {
  for (int64_t i = 0; i < count; i += kVectorKeys) {
    Keys bound = Keys{} + kNoEdge;
    for (size_t k = 0; k < cycle_count; ++k) {
      Keys a;
      Keys b;
      Keys c;
      std::memcpy(&a, edges + i + cycles[k].at[0], sizeof(Keys));
      std::memcpy(&b, edges + i + cycles[k].at[1], sizeof(Keys));
      std::memcpy(&c, edges + i + cycles[k].at[2], sizeof(Keys));
      // With integers, "stronger, or equal and before" is "key + 1 greater".
      a += cycles[k].before[0];
      b += cycles[k].before[1];
      c += cycles[k].before[2];
      a = a < b ? a : b;
      a = a < c ? a : c;
      bound = a > bound ? a : bound;
    }
    std::memcpy(bounds + i, &bound, sizeof(Keys));
  }
}

uint32_t CountBits(const uint64_t* words, int64_t size, uint32_t* before) {
  uint32_t count = 0;
  for (int64_t k = 0; k < size; ++k) {
    before[k] = count;
    count += static_cast<uint32_t>(__builtin_popcountll(words[k]));
  }
  return count;
}

// The run of a voxel, which is in one.
LOSSD_VECTORIZED uint32_t RunOf(const RunRow& row, int64_t x) {
  const uint64_t up_to_x = row.starts[x / 64] & (~uint64_t{0} >> (63 - x % 64));
  return row.before[x / 64] + static_cast<uint32_t>(__builtin_popcountll(up_to_x)) - 1;
}

int64_t FindJoins(const EdgeRow& row, RunPair* pairs) {
  const RunRow from = row.from;
  const RunRow to = row.to;
  int64_t count = 0;
  uint64_t last = 0;
  for (int64_t k = 0; k < from.words; ++k) {
    const uint64_t edges = row.edges[k];
    const uint64_t starts = from.starts[k] | BitsFrom(to.starts, to.words, 64 * k - row.x_back);
    uint64_t left = edges & (starts | ~(edges << 1 | last));
    last = edges >> 63;
    for (; left != 0; left &= left - 1) {
      const int64_t x = 64 * k + __builtin_ctzll(left);
      pairs[count++] = {.from = RunOf(from, x), .to = RunOf(to, x - row.x_back)};
    }
  }
  return count;
}

constexpr MalisKernels kTable = {
    .find_bounds = FindBounds, .count_bits = CountBits, .find_joins = FindJoins};

}  // namespace
}  // namespace LOSSD_LEVEL

const MalisKernels MalisKernels::LOSSD_LEVEL = LOSSD_LEVEL::kTable;

}  // namespace lossd
