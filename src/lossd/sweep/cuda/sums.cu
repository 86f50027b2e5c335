#include "lossd/sweep/cuda/group_sweep.cuh"
#include "lossd/sweep/cuda/sweeps.h"
#include "lossd/sweep/vector_math.h"

namespace lossd {
namespace {

struct Overlaps {
  Grouped<const float> pred;
  Grouped<const float> target;
  bool sigmoid;

  __device__ void operator()(const Place& at, double* sums) const {
    const float p = sigmoid ? Sigmoid(At(pred, at)) : At(pred, at);
    const float t = At(target, at);
    sums[0] += static_cast<double>(p * t);
    sums[1] += static_cast<double>(p);
    sums[2] += static_cast<double>(t);
  }
};

struct OverlapGradient {
  Grouped<const float> pred;
  Grouped<const float> target;
  bool sigmoid;
  const float* factors;
  int64_t channels;
  GradientPlace gradient;

  __device__ void operator()(const Place& at, double* /*sums*/) const {
    const float* const factor = factors + 2 * (at.sample * channels + at.channel);
    float slope = 1;
    if (sigmoid) {
      const float e = ExpMinus(Abs(At(pred, at)));
      slope = e / ((1.0F + e) * (1.0F + e));
    }
    Put(gradient, at, (factor[0] * At(target, at) + factor[1]) * slope);
  }
};

struct AffinityError {
  AffinityErrorTensors tensors;
  bool sigmoid;
  float factor;

  __device__ void operator()(const Place& at, double* sums) const {
    const float a = At(tensors.affinity, at);
    const float weight = At(tensors.weight, at);
    const float error = a - At(tensors.target, at);
    sums[0] += static_cast<double>(weight * error * error);
    const bool constant = tensors.unknown.data != nullptr && At(tensors.unknown, at);
    const float slope = sigmoid ? a * (1.0F - a) : 1.0F;
    Put(tensors.gradient, at, constant ? 0.0F : factor * weight * error * slope);
  }
};

}  // namespace

cudaError_t SumOverlaps(const Groups& groups, Grouped<const float> pred,
                        Grouped<const float> target, bool sigmoid, double* sums,
                        cudaStream_t stream) {
  return SweepGroups<3>(groups, Overlaps{pred, target, sigmoid}, sums, stream);
}

cudaError_t PutOverlapGradient(const Groups& groups, Grouped<const float> pred,
                               Grouped<const float> target, bool sigmoid, const float* factors,
                               const GradientPlace& gradient, cudaStream_t stream) {
  return SweepGroups<0>(groups,
                        OverlapGradient{pred, target, sigmoid, factors, groups.channels, gradient},
                        nullptr, stream);
}

cudaError_t SweepAffinityErrors(const Groups& groups, const AffinityErrorTensors& tensors,
                                bool sigmoid, float gradient_scale, double* sums,
                                cudaStream_t stream) {
  return SweepGroups<1>(groups, AffinityError{tensors, sigmoid, 2.0F * gradient_scale}, sums,
                        stream);
}

}  // namespace lossd
