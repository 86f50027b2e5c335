#include "lossd/base/vectorized.h"
#include "lossd/sweep/cpu/kernel_tables.h"
#include "lossd/sweep/skeleton_element.h"

namespace lossd {
namespace LOSSD_LEVEL {
namespace {

template <bool kWeighted, bool kGradient>
LOSSD_VECTORIZED SkeletonSums Sum(const float* skeleton, const float* other, const float* weight,
                                  int64_t size, float* __restrict of_other) {
  double within = 0;
  double total = 0;
#pragma omp simd reduction(+ : within, total)
  for (int64_t v = 0; v < size; ++v) {
    const float w = kWeighted ? weight[v] : 1.0F;
    const float s = w * skeleton[v];
    within += WithinTerm(s, w, other[v]);
    total += static_cast<double>(s);
    if (kGradient) of_other[v] = w * s;
  }
  return {.within = within, .total = total};
}

void ThickenBlock(const float* level, const float* opened, const float* skeleton, int64_t size,
                  float* next) {
#pragma omp simd
  for (int64_t v = 0; v < size; ++v) next[v] = Thicken(level[v], opened[v], skeleton[v]);
}

void ThickenGradientBlock(const float* level, const float* opened, const float* skeleton,
                          int64_t size, float* __restrict gradient, float* __restrict of_d) {
#pragma omp simd
  for (int64_t v = 0; v < size; ++v) {
    of_d[v] = ThickenGradient(level[v], opened[v], skeleton[v], gradient[v]);
  }
}

SkeletonSums SumSkeletonBlock(const float* skeleton, const float* other, const float* weight,
                              int64_t size, float* of_other) {
  if (weight == nullptr) {
    return of_other == nullptr ? Sum<false, false>(skeleton, other, weight, size, of_other)
                               : Sum<false, true>(skeleton, other, weight, size, of_other);
  }
  return of_other == nullptr ? Sum<true, false>(skeleton, other, weight, size, of_other)
                             : Sum<true, true>(skeleton, other, weight, size, of_other);
}

void SkeletonGradientBlock(const float* other, const float* weight, double of_within,
                           double of_total, int64_t size, float* __restrict gradient) {
  if (weight == nullptr) {
    for (int64_t v = 0; v < size; ++v) {
      gradient[v] = SkeletonGradient(1, other[v], of_within, of_total);
    }
    return;
  }
  for (int64_t v = 0; v < size; ++v) {
    gradient[v] = SkeletonGradient(static_cast<double>(weight[v]), other[v], of_within, of_total);
  }
}

constexpr SkeletonKernels kTable = {.thicken = ThickenBlock,
                                    .thicken_gradient = ThickenGradientBlock,
                                    .sum = SumSkeletonBlock,
                                    .gradient = SkeletonGradientBlock};

}  // namespace
}  // namespace LOSSD_LEVEL

const SkeletonKernels SkeletonKernels::LOSSD_LEVEL = LOSSD_LEVEL::kTable;

}  // namespace lossd
