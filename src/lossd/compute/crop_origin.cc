#include "lossd/compute/crop_origin.h"

#include <limits>

namespace lossd {

uint64_t CropOriginDraw::NextBits() {
  state_ += 0x9e3779b97f4a7c15U;
  uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

VoxelIndex CropOriginDraw::Next(const std::array<int64_t, 3>& volume,
                                const std::array<int64_t, 3>& crop) {
  VoxelIndex origin = {};
  for (size_t axis = 0; axis < origin.size(); ++axis) {
    const auto positions = static_cast<uint64_t>(volume[axis] - crop[axis] + 1);
    // 2⁶⁴ mod positions values at the top would favour the first positions.
    const uint64_t excess = (std::numeric_limits<uint64_t>::max() % positions + 1) % positions;
    uint64_t draw = NextBits();
    while (draw > std::numeric_limits<uint64_t>::max() - excess) draw = NextBits();
    origin[axis] = static_cast<int64_t>(draw % positions);
  }
  return origin;
}

}  // namespace lossd
