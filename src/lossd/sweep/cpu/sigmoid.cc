#include "lossd/base/vectorized.h"
#include "lossd/sweep/cpu/kernel_tables.h"
#include "lossd/sweep/vector_math.h"

// MALIS takes edges in the order of their sigmoids, so these have the same bits at every level. For
// that this source is compiled without contraction to fused multiply-adds, which the baseline has
// not and the others are a good deal faster with.
namespace lossd {
namespace LOSSD_LEVEL {
namespace {

template <bool kSigmoid>
LOSSD_VECTORIZED bool Affinities(const float* pred, int64_t size, float* __restrict affinity) {
  int32_t not_numbers = 0;
#pragma omp simd reduction(+ : not_numbers)
  for (int64_t i = 0; i < size; ++i) {
    const float a = kSigmoid ? Sigmoid(pred[i]) : pred[i];
    affinity[i] = a;
    not_numbers += a == a ? 0 : 1;
  }
  return not_numbers == 0;
}

void SigmoidBlock(const float* elements, int64_t size, float* __restrict out) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) out[i] = Sigmoid(elements[i]);
}

bool AffinityBlock(const float* pred, const float* target, const float* mask, bool sigmoid,
                   int64_t size, float* __restrict affinity, uint8_t* __restrict positive,
                   uint8_t* __restrict known) {
  const bool numbers =
      sigmoid ? Affinities<true>(pred, size, affinity) : Affinities<false>(pred, size, affinity);
  for (int64_t i = 0; i < size; ++i) positive[i] = target[i] > 0.5F ? 1 : 0;
  if (mask != nullptr) {
    for (int64_t i = 0; i < size; ++i) known[i] = mask[i] == 1.0F ? 1 : 0;
  }
  return numbers;
}

constexpr SigmoidKernels kTable = {.sigmoid = SigmoidBlock, .affinity = AffinityBlock};

}  // namespace
}  // namespace LOSSD_LEVEL

const SigmoidKernels SigmoidKernels::LOSSD_LEVEL = LOSSD_LEVEL::kTable;

}  // namespace lossd
