#include "lossd/base/vectorized.h"
#include "lossd/sweep/cpu/kernel_tables.h"
#include "lossd/sweep/cpu/rows.h"
#include "lossd/sweep/skeleton_element.h"

namespace lossd {
namespace LOSSD_LEVEL {
namespace {

// Row y of a plane; null where there is no plane or no such row.
template <typename T>
LOSSD_VECTORIZED T* Row(const PlaneShape& shape, T* plane, int64_t y) {
  return plane == nullptr || y < 0 || y >= shape.y ? nullptr : plane + y * shape.x;
}

// Lowers `least` to the values of a row, if there is one.
LOSSD_VECTORIZED void Lower(const float* row, int64_t size, float* __restrict least) {
  if (row == nullptr) return;
#pragma omp simd
  for (int64_t x = 0; x < size; ++x) least[x] = Lesser(least[x], row[x]);
}

LOSSD_VECTORIZED void Raise(const float* row, int64_t size, float* __restrict greatest) {
  if (row == nullptr) return;
#pragma omp simd
  for (int64_t x = 0; x < size; ++x) greatest[x] = Greater(greatest[x], row[x]);
}

// Passes on what is left of the gradients of extremes to the voxels of a row that have them.
LOSSD_VECTORIZED void PassOn(const float* values, const float* extremes, int64_t size,
                             float* __restrict left, float* __restrict sum) {
#pragma omp simd
  for (int64_t x = 0; x < size; ++x) {
    const float passed = values[x] == extremes[x] ? left[x] : 0.0F;
    sum[x] += passed;
    left[x] -= passed;
  }
}

// The same to the voxels before, at and after those of the extremes.
LOSSD_VECTORIZED void PassOnAlongRow(const float* values, const float* extremes, int64_t size,
                                     float* __restrict left, float* __restrict sum) {
  PassOn(values, extremes + 1, size - 1, left + 1, sum);
  PassOn(values, extremes, size, left, sum);
  PassOn(values + 1, extremes, size - 1, left, sum + 1);
}

LOSSD_VECTORIZED bool AllZero(const float* values, int64_t size) {
  int any = 0;
#pragma omp simd reduction(| : any)
  for (int64_t x = 0; x < size; ++x) any |= static_cast<int>(values[x] != 0);
  return any == 0;
}

// Minima along each axis of a row's windows, and what of the gradient they get.
struct RowMinima {
  float* rows;  // [6, size]
  int64_t size;

  LOSSD_VECTORIZED float* least(int axis) const { return rows + axis * size; }
  LOSSD_VECTORIZED float* gradient(int axis) const { return rows + (3 + axis) * size; }
};

LOSSD_VECTORIZED void ShareOut(bool has_z, const float* gradient, const RowMinima& minima) {
  const float* const least_z = minima.least(0);
  const float* const least_y = minima.least(1);
  const float* const least_x = minima.least(2);
  float* __restrict of_z = minima.gradient(0);
  float* __restrict of_y = minima.gradient(1);
  float* __restrict of_x = minima.gradient(2);
  const int64_t size = minima.size;
#pragma omp simd
  for (int64_t x = 0; x < size; ++x) {
    const float least_zy = has_z ? Lesser(least_z[x], least_y[x]) : least_y[x];
    const float share_of_zy = ShareOfFirst(least_zy, least_x[x]);
    const float share_of_z = has_z ? ShareOfFirst(least_z[x], least_y[x]) : 0.0F;
    of_z[x] = gradient[x] * share_of_zy * share_of_z;
    of_y[x] = gradient[x] * share_of_zy * (1.0F - share_of_z);
    of_x[x] = gradient[x] * (1.0F - share_of_zy);
  }
}

void ErodePlane(const PlaneShape& shape, const Planes<const float>& volume, float* eroded) {
  for (int64_t y = 0; y < shape.y; ++y) {
    const float* const row = Row(shape, volume.plane, y);
    float* const out = eroded + y * shape.x;
    Copy(row, shape.x, out);
    Lower(Row(shape, volume.plane, y - 1), shape.x, out);
    Lower(Row(shape, volume.plane, y + 1), shape.x, out);
    Lower(Row(shape, volume.before, y), shape.x, out);
    Lower(Row(shape, volume.after, y), shape.x, out);
    Lower(row, shape.x - 1, out + 1);
    Lower(row + 1, shape.x - 1, out);
  }
}

void DilatePlane(const PlaneShape& shape, const Planes<const float>& volume,
                 float* __restrict greatest, float* dilated) {
  for (int64_t y = 0; y < shape.y; ++y) {
    Copy(Row(shape, volume.plane, y), shape.x, greatest);
    const float* const planes[] = {volume.before, volume.plane, volume.after};
    for (const float* const plane : planes) {
      for (int64_t j = y - 1; j <= y + 1; ++j) {
        Raise(Row(shape, plane, j), shape.x, greatest);
      }
    }
    float* const out = dilated + y * shape.x;
    Copy(greatest, shape.x, out);
    Raise(greatest, shape.x - 1, out + 1);
    Raise(greatest + 1, shape.x - 1, out);
  }
}

void AddErosionGradient(const PlaneShape& shape, const Planes<const float>& volume,
                        const float* gradient, float* six_rows, const Planes<float>& sum) {
  const RowMinima minima = {.rows = six_rows, .size = shape.x};
  for (int64_t y = 0; y < shape.y; ++y) {
    const float* const of_row = gradient + y * shape.x;
    if (AllZero(of_row, shape.x)) continue;
    const float* const row = Row(shape, volume.plane, y);
    // In the order of the windows.
    const float* const along_z[] = {Row(shape, volume.before, y), row, Row(shape, volume.after, y)};
    const float* const along_y[] = {Row(shape, volume.plane, y - 1), row,
                                    Row(shape, volume.plane, y + 1)};
    for (int axis = 0; axis < 3; ++axis) Copy(row, shape.x, minima.least(axis));
    for (int side = 0; side < 3; side += 2) {
      Lower(along_z[side], shape.x, minima.least(0));
      Lower(along_y[side], shape.x, minima.least(1));
    }
    Lower(row, shape.x - 1, minima.least(2) + 1);
    Lower(row + 1, shape.x - 1, minima.least(2));
    ShareOut(shape.has_z, of_row, minima);
    float* const sum_along_z[] = {Row(shape, sum.before, y), Row(shape, sum.plane, y),
                                  Row(shape, sum.after, y)};
    float* const sum_along_y[] = {Row(shape, sum.plane, y - 1), Row(shape, sum.plane, y),
                                  Row(shape, sum.plane, y + 1)};
    for (int k = 0; shape.has_z && k < 3; ++k) {
      if (along_z[k] == nullptr) continue;
      PassOn(along_z[k], minima.least(0), shape.x, minima.gradient(0), sum_along_z[k]);
    }
    for (int j = 0; j < 3; ++j) {
      if (along_y[j] == nullptr) continue;
      PassOn(along_y[j], minima.least(1), shape.x, minima.gradient(1), sum_along_y[j]);
    }
    PassOnAlongRow(row, minima.least(2), shape.x, minima.gradient(2), sum_along_y[1]);
  }
}

void SubtractDilationGradient(const PlaneShape& shape, const Planes<const float>& volume,
                              const float* dilated, const float* gradient, float* __restrict left,
                              const Planes<float>& sum) {
  const float* const planes[] = {volume.before, volume.plane, volume.after};
  float* const sums[] = {sum.before, sum.plane, sum.after};
  for (int64_t y = 0; y < shape.y; ++y) {
    const float* const of_row = gradient + y * shape.x;
    if (AllZero(of_row, shape.x)) continue;
    for (int64_t x = 0; x < shape.x; ++x) left[x] = -of_row[x];
    // In the order of the window.
    for (int k = 0; k < 3; ++k) {
      for (int64_t j = y - 1; j <= y + 1; ++j) {
        const float* const row = Row(shape, planes[k], j);
        if (row == nullptr) continue;
        PassOnAlongRow(row, dilated + y * shape.x, shape.x, left, Row(shape, sums[k], j));
      }
    }
  }
}

constexpr MorphologyKernels kTable = {.erode = ErodePlane,
                                      .dilate = DilatePlane,
                                      .add_erosion_gradient = AddErosionGradient,
                                      .subtract_dilation_gradient = SubtractDilationGradient};

}  // namespace
}  // namespace LOSSD_LEVEL

const MorphologyKernels MorphologyKernels::LOSSD_LEVEL = LOSSD_LEVEL::kTable;

}  // namespace lossd
