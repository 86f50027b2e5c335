#ifndef LOSSD_SWEEP_SKELETON_KERNELS_H_
#define LOSSD_SWEEP_SKELETON_KERNELS_H_

#include <cstdint>

// What SoftClDiceLoss does voxel by voxel. Arrays are of `size` consecutive voxels.
namespace lossd {

// One step of a skeleton: with d = relu(level − opened), skeleton + relu(d − skeleton·d), into
// `next`, which may be `skeleton`.
void ThickenBlock(const float* level, const float* opened, const float* skeleton, int64_t size,
                  float* next);

// Its derivative: given the gradient with respect to `next`, turns it into that with respect to
// `skeleton` and writes that with respect to d, 0 where d is.
void ThickenGradientBlock(const float* level, const float* opened, const float* skeleton,
                          int64_t size, float* gradient, float* of_d);

struct SkeletonSums {
  double within = 0;  // Σ (w·skeleton)·(w·other).
  double total = 0;   // Σ w·skeleton.

  void operator+=(const SkeletonSums& other) {
    within += other.within;
    total += other.total;
  }
};

// A null weight is 1 everywhere. Writes w²·skeleton, the gradient of `within` with respect to
// `other`, unless that is null.
SkeletonSums SumSkeletonBlock(const float* skeleton, const float* other, const float* weight,
                              int64_t size, float* of_other);

// w·(of_within·w·other + of_total): the gradient with respect to the skeleton. In float64, as the
// two may all but cancel.
void SkeletonGradientBlock(const float* other, const float* weight, double of_within,
                           double of_total, int64_t size, float* gradient);

}  // namespace lossd

#endif  // LOSSD_SWEEP_SKELETON_KERNELS_H_
