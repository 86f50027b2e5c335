#ifndef LOSSD_MALIS_FLAT_BATCH_H_
#define LOSSD_MALIS_FLAT_BATCH_H_

#include <algorithm>
#include <cstdint>
#include <span>

#include "lossd/malis/grid.h"

namespace lossd::flat {

// Volumes of one shape. Arrays lie in the memory that the loops read, without gaps. What is said of
// MalisSample (malis.h) holds for each volume: fewer than 2³¹ edges, no affinity is NaN.
struct Batch {
  int64_t samples = 0;
  GridShape shape;
  std::span<const Offset> neighborhood;  // [C], on the host.
  const float* affinity = nullptr;       // [B, C, Z, Y, X]
  const uint8_t* positive = nullptr;     // Likewise: 0 or 1.
  const uint8_t* known = nullptr;        // Likewise; null: every edge is known.
  const uint32_t* labels = nullptr;      // [B, Z, Y, X]; null: components of the positive edges.
};

// Scratch memory a voxel at most, in bytes.
inline int64_t ScratchBytesOfVoxel(int64_t channels) {
  // Rounds: a component's label and a leaf's two numbers, 12; nodes, 28; their numbers in a round,
  // 4; twice all edges. Order and counts: at most 88, whatever the channels.
  return std::max<int64_t>(44 + 32 * channels, 88);
}

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_BATCH_H_
