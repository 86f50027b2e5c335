#include "lossd/base/vectorized.h"
#include "lossd/sweep/cpu/kernel_tables.h"
#include "lossd/sweep/vector_math.h"

namespace lossd {
namespace LOSSD_LEVEL {
namespace {

LOSSD_VECTORIZED float Relu(float x) { return x > 0 ? x : 0.0F; }

template <bool kWeighted, bool kGradient>
LOSSD_VECTORIZED SkeletonSums Sum(const float* skeleton, const float* other, const float* weight,
                                  int64_t size, float* __restrict of_other) {
  double within = 0;
  double total = 0;
#pragma omp simd reduction(+ : within, total)
  for (int64_t v = 0; v < size; ++v) {
    const float w = kWeighted ? weight[v] : 1.0F;
    const float s = w * skeleton[v];
    within += static_cast<double>(s * (w * other[v]));
    total += static_cast<double>(s);
    if (kGradient) of_other[v] = w * s;
  }
  return {.within = within, .total = total};
}

void ThickenBlock(const float* level, const float* opened, const float* skeleton, int64_t size,
                  float* next) {
#pragma omp simd
  for (int64_t v = 0; v < size; ++v) {
    const float d = Relu(level[v] - opened[v]);
    next[v] = skeleton[v] + Relu(d - skeleton[v] * d);
  }
}

void ThickenGradientBlock(const float* level, const float* opened, const float* skeleton,
                          int64_t size, float* __restrict gradient, float* __restrict of_d) {
#pragma omp simd
  for (int64_t v = 0; v < size; ++v) {
    const float d = Relu(level[v] - opened[v]);
    // Where d − skeleton·d is above 0, so is d: one test serves both relus.
    const float passed = d - skeleton[v] * d > 0 ? gradient[v] : 0.0F;
    of_d[v] = passed * (1.0F - skeleton[v]);
    gradient[v] -= passed * d;
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
      gradient[v] = static_cast<float>(of_within * static_cast<double>(other[v]) + of_total);
    }
    return;
  }
  for (int64_t v = 0; v < size; ++v) {
    const auto w = static_cast<double>(weight[v]);
    gradient[v] =
        static_cast<float>(w * (of_within * w * static_cast<double>(other[v]) + of_total));
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
