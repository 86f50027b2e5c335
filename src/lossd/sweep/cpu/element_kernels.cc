#include <type_traits>

#include "lossd/base/vectorized.h"
#include "lossd/losses/list.h"
#include "lossd/sweep/any_element.h"
#include "lossd/sweep/cpu/kernel_tables.h"
#include "lossd/sweep/element.h"
#include "lossd/sweep/vector_math.h"

namespace lossd {
namespace LOSSD_LEVEL {
namespace {

// The loss of (tanh of) a prediction and a target.
template <bool kTanh, typename Element>
LOSSD_VECTORIZED LossAndSlope At(const Element& element, float x, float t) {
  if constexpr (std::is_invocable_v<Element, float>) {
    const float p = kTanh ? Tanh(x) : x;
    LossAndSlope result = element(p - t);
    if (kTanh) result.slope *= 1.0F - p * p;
    return result;
  } else {
    return element(x, t);
  }
}

template <bool kTanh, bool kWeighted, bool kGradient, typename Element>
LOSSD_VECTORIZED double Loop(const Element& element, const PointwiseBlock& block,
                             const PointwiseOptions& options) {
  const float* __restrict pred = block.pred;
  const float* __restrict target = block.target;
  const float* __restrict weights = block.weight;
  float* __restrict gradient = block.gradient;
  const Element of_pred = element;
  const PointwiseOptions constant = options;
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < block.size; ++i) {
    const LossAndSlope x = At<kTanh>(of_pred, pred[i], target[i]);
    const float weight = kWeighted ? weights[i] : 1.0F;
    const bool counts = !kWeighted || !(weight <= constant.weight_floor);
    sum += static_cast<double>(counts ? weight * x.loss : 0.0F);
    if (kGradient) {
      gradient[i] = counts ? constant.gradient_scale * weight * x.slope : 0.0F;
    }
  }
  return sum;
}

template <bool kTanh, typename Element>
LOSSD_VECTORIZED double Dispatch(const Element& element, const PointwiseBlock& block,
                                 const PointwiseOptions& options) {
  if (block.weight == nullptr) {
    return block.gradient == nullptr ? Loop<kTanh, false, false>(element, block, options)
                                     : Loop<kTanh, false, true>(element, block, options);
  }
  return block.gradient == nullptr ? Loop<kTanh, true, false>(element, block, options)
                                   : Loop<kTanh, true, true>(element, block, options);
}

template <typename Element>
double SumElements(const void* parameters, const PointwiseBlock& block,
                   const PointwiseOptions& options) {
  const Element& element = *static_cast<const Element*>(parameters);
  if constexpr (std::is_invocable_v<Element, float>) {
    if (options.tanh) return Dispatch<true>(element, block, options);
  }
  return Dispatch<false>(element, block, options);
}

template <typename Loss>
constexpr PointwiseKernel KernelOf() {
  // NOLINTNEXTLINE(readability-redundant-typename): clang 14 wants it.
  using Element = typename ElementOf<Loss>::Type;
  if constexpr (std::is_void_v<Element>) {
    return nullptr;
  } else {
    return &SumElements<Element>;
  }
}

template <typename List>
struct KernelsOfList;
template <typename... Each>
struct KernelsOfList<TypeList<Each...>> {
  static constexpr PointwiseKernel kKernels[] = {KernelOf<Each>()...};
};

constexpr ElementKernels kTable = {.of_losses = KernelsOfList<Losses>::kKernels};

}  // namespace
}  // namespace LOSSD_LEVEL

const ElementKernels ElementKernels::LOSSD_LEVEL = LOSSD_LEVEL::kTable;

}  // namespace lossd
