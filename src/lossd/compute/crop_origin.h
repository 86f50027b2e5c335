#ifndef LOSSD_COMPUTE_CROP_ORIGIN_H_
#define LOSSD_COMPUTE_CROP_ORIGIN_H_

#include <array>
#include <cstdint>

#include "lossd/compute/batch.h"

namespace lossd {

// The origins that a seed stands for: part of the public contract (docs/plans.md), so that a client
// can tell where a crop will lie. SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
// Number Generators, OOPSLA 2014), started at the seed. For each crop in turn, z, y and x are drawn
// one after the other: of n positions, a draw d < n·⌊2⁶⁴ / n⌋ gives position d mod n, any other
// draw is thrown away.
class CropOriginDraw {
 public:
  explicit CropOriginDraw(uint64_t seed) : state_(seed) {}

  // Uniform over the places of a crop in a volume, (z, y, x); 1 <= crop <= volume in each.
  VoxelIndex Next(const std::array<int64_t, 3>& volume, const std::array<int64_t, 3>& crop);

  // The generator's next value.
  uint64_t NextBits();

 private:
  uint64_t state_;
};

}  // namespace lossd

#endif  // LOSSD_COMPUTE_CROP_ORIGIN_H_
