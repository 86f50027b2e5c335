#ifndef LOSSD_SWEEP_FLAT_VOLUMES_H_
#define LOSSD_SWEEP_FLAT_VOLUMES_H_

#include <algorithm>
#include <cstdint>

#include "lossd/base/vectorized.h"

// Windows of voxels, as losses that look at neighbours see them in loops over flat arrays
// (malis/flat/loops.h). A derivative is gathered: each voxel adds up what those whose window it
// lies in pass on to it, in memory order, so that it has the same bits each time.
namespace lossd::flat {

// Volumes of the same size, one behind the other. Fewer than kMostElements.
struct Volumes {
  uint32_t count;
  uint32_t z;  // 1 for an image.
  uint32_t y;
  uint32_t x;
  bool has_z;  // False for images.

  LOSSD_VECTORIZED uint32_t voxels() const { return z * y * x; }
  LOSSD_VECTORIZED uint32_t elements() const { return count * voxels(); }
};
inline constexpr int64_t kMostElements = int64_t{1} << 31;

// Elements that are worked on at a time, or one volume: enough for a large GPU to be busy, and few
// for the memory that takes.
inline constexpr int64_t kElementsOfPart = int64_t{1} << 21;

// How many volumes of so many voxels that are.
inline int64_t VolumesOfPart(int64_t voxels) {
  return std::max<int64_t>(1, kElementsOfPart / std::max<int64_t>(1, voxels));
}
inline int64_t ElementsOfPart(int64_t volumes, int64_t voxels) {
  return std::min(volumes, VolumesOfPart(voxels)) * voxels;
}

// Calls body(first, part) for parts of the volumes.
template <typename Body>
void ForParts(const Volumes& volumes, const Body& body) {
  const auto step = static_cast<uint32_t>(VolumesOfPart(volumes.voxels()));
  for (uint32_t first = 0; first < volumes.count; first += step) {
    Volumes part = volumes;
    part.count = std::min(step, volumes.count - first);
    body(first, part);
  }
}

// How far a window reaches along each axis.
struct Reach {
  int32_t z;
  int32_t y;
  int32_t x;
};

// The window around an element: what of it lies in its volume.
struct Window {
  int32_t begin[3];  // Of the neighbours' places relative to the element, along z, y and x.
  int32_t end[3];
  int32_t stride[2];  // From plane to plane, and from row to row.
  Reach reach;

  LOSSD_VECTORIZED Window(const Volumes& volumes, const Reach& far, uint32_t element) : reach(far) {
    stride[0] = static_cast<int32_t>(volumes.y * volumes.x);
    stride[1] = static_cast<int32_t>(volumes.x);
    const uint32_t row = element / volumes.x;
    const uint32_t plane = row / volumes.y;
    Cut(0, far.z, plane % volumes.z, volumes.z);
    Cut(1, far.y, row % volumes.y, volumes.y);
    Cut(2, far.x, element % volumes.x, volumes.x);
  }

  // From the element to the one that is so far away.
  LOSSD_VECTORIZED int32_t Step(int32_t z, int32_t y, int32_t x) const {
    return z * stride[0] + y * stride[1] + x;
  }

  // The number of that neighbour in the whole window, in memory order.
  LOSSD_VECTORIZED uint32_t Number(int32_t z, int32_t y, int32_t x) const {
    const int32_t rows = (z + reach.z) * (2 * reach.y + 1) + y + reach.y;
    return static_cast<uint32_t>(rows * (2 * reach.x + 1) + x + reach.x);
  }

 private:
  LOSSD_VECTORIZED void Cut(int axis, int32_t far, uint32_t place, uint32_t size) {
    const auto before = static_cast<int32_t>(place);
    const auto after = static_cast<int32_t>(size - 1 - place);
    begin[axis] = before < far ? -before : -far;
    end[axis] = (after < far ? after : far) + 1;
  }
};

// What an element gets of a gradient when each has chosen one in its own window, by its number
// there.
template <typename Number>
LOSSD_VECTORIZED float SumOfChoosers(const Volumes& volumes, const Reach& reach, uint32_t element,
                                     const float* gradient, const Number* chosen) {
  const Window window(volumes, reach, element);
  float sum = 0;
  for (int32_t z = window.begin[0]; z < window.end[0]; ++z) {
    for (int32_t y = window.begin[1]; y < window.end[1]; ++y) {
      for (int32_t x = window.begin[2]; x < window.end[2]; ++x) {
        const uint32_t chooser = element + window.Step(z, y, x);
        if (chosen[chooser] == window.Number(-z, -y, -x)) sum += gradient[chooser];
      }
    }
  }
  return sum;
}

}  // namespace lossd::flat

#endif  // LOSSD_SWEEP_FLAT_VOLUMES_H_
