#include "lossd/losses/morphology.h"

#include <algorithm>
#include <array>
#include <vector>

#include "lossd/base/instruction_sets.h"

namespace lossd {
namespace {

// Index of the first of three voxels `stride` apart around v that has the least value; those
// outside the volume do not count.
int64_t FirstMinimum(const float* volume, int64_t v, int64_t stride, int64_t index, int64_t size) {
  int64_t least = index > 0 ? v - stride : v;
  if (volume[v] < volume[least]) least = v;
  if (index + 1 < size && volume[v + stride] < volume[least]) least = v + stride;
  return least;
}

// Shares of a gradient that the minimum of a and b passes on to a.
float ShareOfFirst(float a, float b) {
  if (a == b) return 0.5F;
  return a < b ? 1.0F : 0.0F;
}

}  // namespace

LOSSD_CLONES void ErodePlane(const MorphologyGrid& grid, const float* volume, int64_t z,
                             float* __restrict eroded_plane) {
  const int64_t plane = grid.y * grid.x;
  const int64_t last = grid.x - 1;
  for (int64_t y = 0; y < grid.y; ++y) {
    const float* row = volume + z * plane + y * grid.x;
    // Outside the volume, the row itself: it changes no minimum.
    const float* before = y > 0 ? row - grid.x : row;
    const float* after = y + 1 < grid.y ? row + grid.x : row;
    const float* below = z > 0 ? row - plane : row;
    const float* above = z + 1 < grid.z ? row + plane : row;
    float* out = eroded_plane + y * grid.x;
#pragma omp simd
    for (int64_t x = 0; x <= last; ++x) {
      const float across = std::min(std::min(before[x], after[x]), std::min(below[x], above[x]));
      out[x] = std::min(across, row[x]);
    }
#pragma omp simd
    for (int64_t x = 1; x <= last; ++x) out[x] = std::min(out[x], row[x - 1]);
#pragma omp simd
    for (int64_t x = 0; x < last; ++x) out[x] = std::min(out[x], row[x + 1]);
  }
}

LOSSD_CLONES void DilatePlane(const MorphologyGrid& grid, const float* volume, int64_t z,
                              float* __restrict dilated_plane) {
  const int64_t plane = grid.y * grid.x;
  const int64_t last = grid.x - 1;
  std::vector<float> column(grid.x);
  float* __restrict greatest = column.data();
  for (int64_t y = 0; y < grid.y; ++y) {
    const float* row = volume + z * plane + y * grid.x;
    std::copy_n(row, grid.x, greatest);
    for (int64_t k = std::max<int64_t>(z - 1, 0); k <= std::min(z + 1, grid.z - 1); ++k) {
      for (int64_t j = std::max<int64_t>(y - 1, 0); j <= std::min(y + 1, grid.y - 1); ++j) {
        const float* other = volume + k * plane + j * grid.x;
#pragma omp simd
        for (int64_t x = 0; x < grid.x; ++x) greatest[x] = std::max(greatest[x], other[x]);
      }
    }
    float* out = dilated_plane + y * grid.x;
    std::copy_n(greatest, grid.x, out);
#pragma omp simd
    for (int64_t x = 1; x < grid.x; ++x) out[x] = std::max(out[x], greatest[x - 1]);
#pragma omp simd
    for (int64_t x = 0; x < last; ++x) out[x] = std::max(out[x], greatest[x + 1]);
  }
}

void AddErosionGradient(const MorphologyGrid& grid, const float* volume, int64_t z,
                        const float* gradient_plane, float* sum) {
  const int64_t plane = grid.y * grid.x;
  for (int64_t y = 0; y < grid.y; ++y) {
    for (int64_t x = 0; x < grid.x; ++x) {
      const float gradient = gradient_plane[y * grid.x + x];
      if (gradient == 0) continue;
      const int64_t v = z * plane + y * grid.x + x;
      const int64_t along_y = FirstMinimum(volume, v, grid.x, y, grid.y);
      const int64_t along_x = FirstMinimum(volume, v, 1, x, grid.x);
      if (!grid.has_z) {
        const float share = ShareOfFirst(volume[along_y], volume[along_x]);
        sum[along_y] += gradient * share;
        sum[along_x] += gradient * (1.0F - share);
        continue;
      }
      const int64_t along_z = FirstMinimum(volume, v, plane, z, grid.z);
      const float share_of_zy =
          ShareOfFirst(std::min(volume[along_z], volume[along_y]), volume[along_x]);
      const float share_of_z = ShareOfFirst(volume[along_z], volume[along_y]);
      sum[along_z] += gradient * share_of_zy * share_of_z;
      sum[along_y] += gradient * share_of_zy * (1.0F - share_of_z);
      sum[along_x] += gradient * (1.0F - share_of_zy);
    }
  }
}

void SubtractDilationGradient(const MorphologyGrid& grid, const float* volume, int64_t z,
                              const float* gradient_plane, float* sum) {
  const int64_t plane = grid.y * grid.x;
  for (int64_t y = 0; y < grid.y; ++y) {
    const int64_t first_y = std::max<int64_t>(y - 1, 0);
    const int64_t last_y = std::min(y + 1, grid.y - 1);
    for (int64_t x = 0; x < grid.x; ++x) {
      const float gradient = gradient_plane[y * grid.x + x];
      if (gradient == 0) continue;
      const int64_t first_x = std::max<int64_t>(x - 1, 0);
      const int64_t last_x = std::min(x + 1, grid.x - 1);
      int64_t greatest = std::max<int64_t>(z - 1, 0) * plane + first_y * grid.x + first_x;
      for (int64_t k = std::max<int64_t>(z - 1, 0); k <= std::min(z + 1, grid.z - 1); ++k) {
        for (int64_t j = first_y; j <= last_y; ++j) {
          for (int64_t i = first_x; i <= last_x; ++i) {
            const int64_t v = k * plane + j * grid.x + i;
            greatest = volume[v] > volume[greatest] ? v : greatest;
          }
        }
      }
      sum[greatest] -= gradient;
    }
  }
}

}  // namespace lossd
