#include <limits>

#include "lossd/base/vectorized.h"
#include "lossd/sweep/cpu/kernel_tables.h"
#include "lossd/sweep/cpu/rows.h"
#include "lossd/sweep/vector_math.h"

namespace lossd {
namespace LOSSD_LEVEL {
namespace {

template <bool kWeighted>
LOSSD_VECTORIZED BlockCounts Count(const float* target, const float* weight, int64_t size) {
  // 32 bits vectorise twice as well, and a block is small.
  int32_t valid = 0;
  int32_t positives = 0;
  int32_t negatives = 0;
#pragma omp simd reduction(+ : valid, positives, negatives)
  for (int64_t i = 0; i < size; ++i) {
    const int32_t counts = !kWeighted || weight[i] > 0 ? 1 : 0;
    valid += counts;
    positives += target[i] > 0 ? counts : 0;
    negatives += target[i] <= 0 ? counts : 0;
  }
  return {.valid = valid, .positives = positives, .negatives = negatives};
}

template <bool kSigmoid>
LOSSD_VECTORIZED OverlapSums SumOverlap(const float* pred, const float* target, int64_t size) {
  double common = 0;
  double pred_sum = 0;
  double target_sum = 0;
#pragma omp simd reduction(+ : common, pred_sum, target_sum)
  for (int64_t i = 0; i < size; ++i) {
    const float p = kSigmoid ? Sigmoid(pred[i]) : pred[i];
    const float t = target[i];
    common += static_cast<double>(p * t);
    pred_sum += static_cast<double>(p);
    target_sum += static_cast<double>(t);
  }
  return {.common = common, .pred = pred_sum, .target = target_sum};
}

template <bool kSigmoid>
LOSSD_VECTORIZED void OverlapGradient(const float* pred, const float* target, float common,
                                      float pred_factor, int64_t size, float* __restrict gradient) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    float slope = 1.0F;
    if (kSigmoid) {
      const float e = ExpMinus(Abs(pred[i]));
      slope = e / ((1.0F + e) * (1.0F + e));
    }
    gradient[i] = (common * target[i] + pred_factor) * slope;
  }
}

LOSSD_VECTORIZED bool IsFinite(float x) { return Abs(x) <= std::numeric_limits<float>::max(); }

LOSSD_VECTORIZED bool AllFinite(const float* values, int64_t size) {
  int32_t not_finite = 0;
#pragma omp simd reduction(+ : not_finite)
  for (int64_t i = 0; i < size; ++i) not_finite += IsFinite(values[i]) ? 0 : 1;
  return not_finite == 0;
}

template <bool kAdd>
LOSSD_VECTORIZED bool AddScaled(const float* gradient, float factor, int64_t size, float* sum) {
  int32_t not_finite = 0;
#pragma omp simd reduction(+ : not_finite)
  for (int64_t i = 0; i < size; ++i) {
    const float product = factor * gradient[i];
    not_finite += IsFinite(product) ? 0 : 1;
    sum[i] = kAdd ? sum[i] + product : product;
  }
  return not_finite == 0;
}

template <bool kCleft, bool kGradient>
LOSSD_VECTORIZED double SumProducts(const ExclusiveChannels& block, float gradient_scale) {
  const float* __restrict first_logits = block.first;
  const float* __restrict second_logits = block.second;
  const float* __restrict cleft_logits = block.cleft;
  float* __restrict first_gradient = block.first_gradient;
  float* __restrict second_gradient = block.second_gradient;
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < block.size; ++i) {
    const float first = Sigmoid(first_logits[i]);
    const float second = Sigmoid(second_logits[i]);
    const float overlap = first * second * (kCleft ? Sigmoid(cleft_logits[i]) : 1.0F);
    sum += static_cast<double>(overlap);
    if (kGradient) {
      first_gradient[i] = gradient_scale * overlap * (1.0F - first);
      second_gradient[i] = gradient_scale * overlap * (1.0F - second);
    }
  }
  return sum;
}

int64_t CountWeightsBlock(const float* weight, int64_t size) {
  int32_t valid = 0;
#pragma omp simd reduction(+ : valid)
  for (int64_t i = 0; i < size; ++i) valid += weight[i] > 0 ? 1 : 0;
  return valid;
}

BlockCounts CountBlock(const float* target, const float* weight, int64_t size) {
  return weight == nullptr ? Count<false>(target, weight, size) : Count<true>(target, weight, size);
}

OverlapSums OverlapBlock(const float* pred, const float* target, bool sigmoid, int64_t size) {
  return sigmoid ? SumOverlap<true>(pred, target, size) : SumOverlap<false>(pred, target, size);
}

void OverlapGradientBlock(const float* pred, const float* target, bool sigmoid, float common,
                          float pred_factor, int64_t size, float* gradient) {
  if (sigmoid) {
    OverlapGradient<true>(pred, target, common, pred_factor, size, gradient);
  } else {
    OverlapGradient<false>(pred, target, common, pred_factor, size, gradient);
  }
}

void BadnessBlock(const float* pred, const float* target, int64_t size, float* __restrict badness,
                  int32_t* __restrict voxel_class) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const bool foreground = target[i] > 0.5F;
    badness[i] = foreground ? -pred[i] : pred[i];
    voxel_class[i] = foreground ? 1 : 0;
  }
}

void WorstNeighbours(const NeighbourWindow& window, int64_t size, float* __restrict worst,
                     int32_t* __restrict offset) {
  Fill(-std::numeric_limits<float>::infinity(), size, worst);
  Fill(0, size, offset);
  const int32_t* own_class = window.voxel_class;
  for (int64_t z = -window.radius[0]; z <= window.radius[0]; ++z) {
    for (int64_t y = -window.radius[1]; y <= window.radius[1]; ++y) {
      for (int64_t x = -window.radius[2]; x <= window.radius[2]; ++x) {
        const int64_t there = z * window.stride[0] + y * window.stride[1] + x;
        const float* badness = window.badness + there;
        const int32_t* voxel_class = window.voxel_class + there;
        const auto in_volume =
            static_cast<int32_t>(z * window.volume_stride[0] + y * window.volume_stride[1] + x);
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) {
          const float candidate = badness[i];
          const bool worse = candidate > worst[i] || candidate != candidate;
          const bool take = worse && voxel_class[i] == own_class[i];
          worst[i] = take ? candidate : worst[i];
          offset[i] = take ? in_volume : offset[i];
        }
      }
    }
  }
}

void ClampBlock(const float* elements, float min, float max, int64_t size, float* out) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float x = elements[i];
    const float raised = x < min ? min : x;
    out[i] = raised > max ? max : raised;
  }
}

void ClassWeightBlock(const float* weight, const float* target, float foreground, float background,
                      int64_t size, float* weighted) {
  if (weight == nullptr) {
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) weighted[i] = target[i] > 0 ? foreground : background;
    return;
  }
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    weighted[i] = weight[i] * (target[i] > 0 ? foreground : background);
  }
}

void KeepBlock(const float* elements, const bool* known, float otherwise, int64_t size,
               float* out) {
  // Of bools the compiler makes no vector code.
  const auto* const keep = reinterpret_cast<const uint8_t*>(known);
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float element = elements[i];
    out[i] = keep[i] != 0 ? element : otherwise;
  }
}

void WidenHalf(const uint16_t* half, int64_t size, float* __restrict wide) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const uint32_t bits = half[i];
    const uint32_t magnitude = (bits & 0x7fffU) << 13;
    // Exponents differ in their bias by 112; that of infinities and NaN is all ones.
    const float finite = FloatOf(magnitude) * 0x1p112F;
    const uint32_t widened = magnitude >= (31U << 23) ? magnitude | (0xffU << 23) : BitsOf(finite);
    wide[i] = FloatOf(widened | (bits & 0x8000U) << 16);
  }
}

void WidenBfloat16(const uint16_t* half, int64_t size, float* __restrict wide) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    wide[i] = FloatOf(static_cast<uint32_t>(half[i]) << 16);
  }
}

bool NarrowHalf(const float* wide, int64_t size, uint16_t* __restrict half) {
  constexpr uint32_t kInfinity = 0x7c00;
  int32_t not_finite = 0;
#pragma omp simd reduction(+ : not_finite)
  for (int64_t i = 0; i < size; ++i) {
    const uint32_t bits = BitsOf(wide[i]);
    const uint32_t magnitude = bits & 0x7fffffffU;
    // Rounds to the 10 bits of the fraction; a carry goes on into the exponent.
    const uint32_t rounded = (magnitude + 0xfffU + ((magnitude >> 13) & 1U) - (112U << 23)) >> 13;
    // Below the least normal number: a unit is that of 1/2 in float32, to which adding it rounds.
    const float small = FloatOf(magnitude) + 0.5F;
    const uint32_t subnormal = BitsOf(small) - BitsOf(0.5F);
    uint32_t narrow = magnitude < (113U << 23) ? subnormal : rounded;
    narrow = magnitude >= (143U << 23) ? kInfinity : narrow;
    narrow = magnitude > (255U << 23) ? kInfinity | 0x200U : narrow;
    not_finite += narrow >= kInfinity ? 1 : 0;
    half[i] = static_cast<uint16_t>(narrow | (bits & 0x80000000U) >> 16);
  }
  return not_finite == 0;
}

bool NarrowBfloat16(const float* wide, int64_t size, uint16_t* __restrict half) {
  int32_t not_finite = 0;
#pragma omp simd reduction(+ : not_finite)
  for (int64_t i = 0; i < size; ++i) {
    const uint32_t bits = BitsOf(wide[i]);
    const uint32_t magnitude = bits & 0x7fffffffU;
    uint32_t narrow = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    narrow = magnitude > (255U << 23) ? 0x7fc0U | (bits & 0x80000000U) >> 16 : narrow;
    not_finite += (narrow & 0x7fffU) >= 0x7f80U ? 1 : 0;
    half[i] = static_cast<uint16_t>(narrow);
  }
  return not_finite == 0;
}

bool AddScaledBlock(const float* gradient, float factor, bool add, int64_t size, float* sum) {
  if (add) return AddScaled<true>(gradient, factor, size, sum);
  return gradient == sum && factor == 1 ? AllFinite(gradient, size)
                                        : AddScaled<false>(gradient, factor, size, sum);
}

double NonOverlapBlock(const ExclusiveChannels& block, float gradient_scale) {
  const bool cleft = block.cleft != nullptr;
  if (block.first_gradient == nullptr) {
    return cleft ? SumProducts<true, false>(block, gradient_scale)
                 : SumProducts<false, false>(block, gradient_scale);
  }
  return cleft ? SumProducts<true, true>(block, gradient_scale)
               : SumProducts<false, true>(block, gradient_scale);
}

double AffinityErrorBlock(const AffinityErrors& block, bool sigmoid, float gradient_scale) {
  const float* __restrict affinity = block.affinity;
  const float* __restrict target = block.target;
  const float* weight = block.weight;
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < block.size; ++i) {
    const float error = affinity[i] - target[i];
    sum += static_cast<double>(weight[i] * error * error);
  }
  if (float* __restrict loss = block.loss; loss != nullptr) {
    for (int64_t i = 0; i < block.size; ++i) {
      const float error = affinity[i] - target[i];
      loss[i] = weight[i] * error * error;
    }
  }
  // Last, for it may take the place of the weights.
  if (float* gradient = block.gradient; gradient != nullptr) {
    const float factor = 2.0F * gradient_scale;
#pragma omp simd
    for (int64_t i = 0; i < block.size; ++i) {
      const float a = affinity[i];
      const float slope = sigmoid ? a * (1.0F - a) : 1.0F;
      gradient[i] = factor * weight[i] * (a - target[i]) * slope;
    }
  }
  return sum;
}

constexpr BlockKernels kTable = {.count_weights = CountWeightsBlock,
                                 .count = CountBlock,
                                 .overlap = OverlapBlock,
                                 .overlap_gradient = OverlapGradientBlock,
                                 .badness = BadnessBlock,
                                 .worst_neighbours = WorstNeighbours,
                                 .clamp = ClampBlock,
                                 .class_weight = ClassWeightBlock,
                                 .keep = KeepBlock,
                                 .widen_half = WidenHalf,
                                 .widen_bfloat16 = WidenBfloat16,
                                 .narrow_half = NarrowHalf,
                                 .narrow_bfloat16 = NarrowBfloat16,
                                 .add_scaled = AddScaledBlock,
                                 .non_overlap = NonOverlapBlock,
                                 .affinity_error = AffinityErrorBlock};

}  // namespace
}  // namespace LOSSD_LEVEL

const BlockKernels BlockKernels::LOSSD_LEVEL = LOSSD_LEVEL::kTable;

}  // namespace lossd
