#include <type_traits>

#include "lossd/losses/list.h"
#include "lossd/sweep/any_element.h"
#include "lossd/sweep/cuda/group_sweep.cuh"
#include "lossd/sweep/cuda/sweeps.h"
#include "lossd/sweep/element.h"
#include "lossd/sweep/vector_math.h"

namespace lossd {
namespace {

template <typename Element>
__device__ LossAndSlope Evaluate(const Element& element, bool tanh, float x, float t) {
  if constexpr (std::is_invocable_v<Element, float>) {
    if (!tanh) return element(x - t);
    const float p = Tanh(x);
    LossAndSlope result = element(p - t);
    result.slope *= 1.0F - p * p;
    return result;
  } else {
    return element(x, t);
  }
}

template <typename Element>
struct Pointwise {
  PointwiseTensors tensors;
  const PointwiseChannel* channels;

  __device__ void operator()(const Place& at, double* sums) const {
    const PointwiseChannel& channel = channels[at.channel];
    const Element& element = *reinterpret_cast<const Element*>(channel.element);
    const Weighed x =
        Weigh(Evaluate(element, channel.options.tanh, At(tensors.pred, at), At(tensors.target, at)),
              tensors.weight, at, channel.options);
    sums[0] += x.loss;
    Put(tensors.gradient, at, x.slope);
  }
};

using Launch = cudaError_t (*)(const Groups& groups, const PointwiseTensors& tensors,
                               const PointwiseChannel* channels, double* sums, cudaStream_t stream);

template <typename Loss>
constexpr Launch LaunchOf() {
  using Element = typename ElementOf<Loss>::Type;
  if constexpr (std::is_void_v<Element>) {
    return nullptr;
  } else {
    return [](const Groups& groups, const PointwiseTensors& tensors,
              const PointwiseChannel* channels, double* sums, cudaStream_t stream) {
      return SweepGroups<1>(groups, Pointwise<Element>{tensors, channels}, sums, stream);
    };
  }
}

template <typename... Each>
Launch LaunchAt(int index, TypeList<Each...> /*losses*/) {
  static constexpr Launch kLaunches[] = {LaunchOf<Each>()...};
  return kLaunches[index];
}

}  // namespace

cudaError_t SweepPointwise(int loss, const Groups& groups, const PointwiseTensors& tensors,
                           const PointwiseChannel* channels, double* sums, cudaStream_t stream) {
  return LaunchAt(loss, Losses())(groups, tensors, channels, sums, stream);
}

}  // namespace lossd
