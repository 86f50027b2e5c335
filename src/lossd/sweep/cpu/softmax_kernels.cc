#include "lossd/base/vectorized.h"
#include "lossd/sweep/cpu/kernel_tables.h"
#include "lossd/sweep/cpu/rows.h"
#include "lossd/sweep/vector_math.h"

namespace lossd {
namespace LOSSD_LEVEL {
namespace {

// log(s) for s >= 1; NaN in gives NaN out.
LOSSD_VECTORIZED float LogFromOne(float s) {
  const auto bits = BitsOf(s);
  const auto exponent = static_cast<float>(static_cast<int32_t>(bits >> 23) - 127);
  const auto mantissa = FloatOf((bits & 0x7fffffU) | 0x3f800000U);
  return exponent * 0.693147181F + LogOnePlus(mantissa - 1.0F) + (s - s);
}

LOSSD_VECTORIZED void GreatestLogits(const float* const* logits, int64_t classes, int64_t size,
                                     float* __restrict greatest) {
  Copy(logits[0], size, greatest);
  for (int64_t c = 1; c < classes; ++c) {
    const float* of_class = logits[c];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      greatest[i] = of_class[i] > greatest[i] ? of_class[i] : greatest[i];
    }
  }
}

double CrossEntropyBlock(const ClassBlock& block) {
  const int64_t size = block.size;
  float* __restrict greatest = block.scratch;
  float* __restrict sum = block.scratch + size;
  float* __restrict own = block.scratch + 2 * size;
  float* __restrict weight = block.scratch + 3 * size;
  const float* target = block.target;
  GreatestLogits(block.logits, block.classes, size, greatest);
  Fill(0.0F, size, sum);
  Fill(0.0F, size, own);
  Fill(0.0F, size, weight);
  for (int64_t c = 0; c < block.classes; ++c) {
    const float* logits = block.logits[c];
    const auto index = static_cast<float>(c);
    const float class_weight = index == block.ignored ? 0.0F : block.class_weight[c];
    float* gradient = block.gradient == nullptr ? nullptr : block.gradient[c];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const float e = ExpMinus(greatest[i] - logits[i]);
      sum[i] += e;
      own[i] = target[i] == index ? logits[i] : own[i];
      weight[i] = target[i] == index ? class_weight : weight[i];
      if (gradient != nullptr) gradient[i] = e;
    }
  }
  double loss = 0;
#pragma omp simd reduction(+ : loss)
  for (int64_t i = 0; i < size; ++i) {
    const float entropy = greatest[i] + LogFromOne(sum[i]) - own[i];
    loss += static_cast<double>(weight[i] == 0 ? 0.0F : weight[i] * entropy);
    sum[i] = 1.0F / sum[i];
  }
  // A copy, which no gradient can overwrite: else the loop is no vector code.
  const float scale = block.gradient_scale;
  for (int64_t c = 0; c < block.classes && block.gradient != nullptr; ++c) {
    float* __restrict gradient = block.gradient[c];
    const auto index = static_cast<float>(c);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const float difference = gradient[i] * sum[i] - (target[i] == index ? 1.0F : 0.0F);
      gradient[i] = weight[i] == 0 ? 0.0F : scale * weight[i] * difference;
    }
  }
  return loss;
}

void SoftmaxBlock(const SoftmaxVoxels& block) {
  const int64_t size = block.size;
  float* __restrict greatest = block.scratch;
  float* __restrict sum = block.scratch + size;
  GreatestLogits(block.logits, block.classes, size, greatest);
  Fill(0.0F, size, sum);
  for (int64_t c = 0; c < block.classes; ++c) {
    const float* logits = block.logits[c];
    float* __restrict e = block.probabilities[c];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      e[i] = ExpMinus(greatest[i] - logits[i]);
      sum[i] += e[i];
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) sum[i] = 1.0F / sum[i];
  for (int64_t c = 0; c < block.classes; ++c) {
    float* __restrict e = block.probabilities[c];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) e[i] *= sum[i];
  }
}

void OneHotBlock(const float* target, float of_class, int64_t size, float* __restrict out) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) out[i] = target[i] == of_class ? 1.0F : 0.0F;
}

void SoftmaxGradientBlock(const SoftmaxGradient& block) {
  const int64_t size = block.size;
  float* __restrict mean = block.scratch;  // Σ p_k × d_k
  Fill(0.0F, size, mean);
  for (int64_t c = 0; c < block.classes; ++c) {
    const float* p = block.probabilities[c];
    const float* target = block.target[c];
    const float common = block.common[c];
    const float constant = block.constant[c];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) mean[i] += p[i] * (common * target[i] + constant);
  }
  for (int64_t c = 0; c < block.classes; ++c) {
    float* __restrict p = block.probabilities[c];
    const float* target = block.target[c];
    const float common = block.common[c];
    const float constant = block.constant[c];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) p[i] *= common * target[i] + constant - mean[i];
  }
}

constexpr SoftmaxKernels kTable = {.cross_entropy = CrossEntropyBlock,
                                   .softmax = SoftmaxBlock,
                                   .one_hot = OneHotBlock,
                                   .softmax_gradient = SoftmaxGradientBlock};

}  // namespace
}  // namespace LOSSD_LEVEL

const SoftmaxKernels SoftmaxKernels::LOSSD_LEVEL = LOSSD_LEVEL::kTable;

}  // namespace lossd
