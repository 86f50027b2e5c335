#ifndef LOSSD_SWEEP_MORPHOLOGY_H_
#define LOSSD_SWEEP_MORPHOLOGY_H_

#include <cstdint>

// Soft morphology of a volume, plane by plane, and its derivative: minima and maxima of values over
// windows, those outside the volume not counting.
namespace lossd {

struct PlaneShape {
  int64_t y;
  int64_t x;
  bool has_z;  // False for an image.

  int64_t voxels() const { return y * x; }
};

// A plane with those before and after it, which are null outside the volume.
template <typename T>
struct Planes {
  T* before;
  T* plane;
  T* after;
};

// Erosion of the plane: the minimum over the windows of 3 along each axis.
void ErodePlane(const PlaneShape& shape, const Planes<const float>& volume, float* eroded);

// Dilation of the plane: the maximum over the window of 3 × 3 × 3.
void DilatePlane(const PlaneShape& shape, const Planes<const float>& volume, float* dilated);

// Adds to `sum` what the erosion of the plane passes on of its gradient to the volume: along each
// axis to the first voxel of the window that has the minimum, halved where two axes have the same,
// as LibTorch does it.
void AddErosionGradient(const PlaneShape& shape, const Planes<const float>& volume,
                        const float* gradient, const Planes<float>& sum);

// The same of a dilation, negated: −gradient to the first voxel of the window that has the maximum,
// which is `dilated`.
void SubtractDilationGradient(const PlaneShape& shape, const Planes<const float>& volume,
                              const float* dilated, const float* gradient,
                              const Planes<float>& sum);

}  // namespace lossd

#endif  // LOSSD_SWEEP_MORPHOLOGY_H_
