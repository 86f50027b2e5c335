#ifndef LOSSD_LOSSES_MORPHOLOGY_H_
#define LOSSD_LOSSES_MORPHOLOGY_H_

#include <cstdint>

// Soft morphology of a volume, plane by plane, and its derivative: minima and maxima of values over
// windows, those outside the volume not counting.
namespace lossd {

struct MorphologyGrid {
  int64_t z;  // 1 for an image.
  int64_t y;
  int64_t x;
  bool has_z;  // False for an image.

  int64_t voxels() const { return z * y * x; }
};

// Erosion of plane z: the minimum over the windows of 3 along each axis.
void ErodePlane(const MorphologyGrid& grid, const float* volume, int64_t z, float* eroded_plane);

// Dilation of plane z: the maximum over the window of 3 × 3 × 3.
void DilatePlane(const MorphologyGrid& grid, const float* volume, int64_t z, float* dilated_plane);

// What the erosion of plane z passes on of its gradient to that of the volume, `sum`: along each
// axis to the first voxel of the window that has the minimum, halved where two axes have the same,
// as LibTorch does it. Writes planes z − 1 to z + 1.
void AddErosionGradient(const MorphologyGrid& grid, const float* volume, int64_t z,
                        const float* gradient_plane, float* sum);

// The same of a dilation, negated: −gradient to the first voxel of the window that has the maximum.
void SubtractDilationGradient(const MorphologyGrid& grid, const float* volume, int64_t z,
                              const float* gradient_plane, float* sum);

}  // namespace lossd

#endif  // LOSSD_LOSSES_MORPHOLOGY_H_
