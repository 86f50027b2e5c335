#ifndef LOSSD_SWEEP_CUDA_SWEEPS_H_
#define LOSSD_SWEEP_CUDA_SWEEPS_H_

#include <cuda_runtime_api.h>

#include "lossd/sweep/cuda/groups.h"

// The sweeps of kernels.h over whole tensors on a GPU, by the same element functions. Sums are
// [samples, channels, parts, …], see Groups. All return whether they could be put into the stream.
namespace lossd {

struct PointwiseTensors {
  Grouped<const float> pred;
  Grouped<const float> target;
  Grouped<const float> weight;  // None: 1.
  GradientPlace gradient;
};

// PointwiseKernel of the loss at that place of the list; `channels` is on the device. One sum.
cudaError_t SweepPointwise(int loss, const Groups& groups, const PointwiseTensors& tensors,
                           const PointwiseChannel* channels, double* sums, cudaStream_t stream);

// OverlapSums: of p × target, p, and target.
cudaError_t SumOverlaps(const Groups& groups, Grouped<const float> pred,
                        Grouped<const float> target, bool sigmoid, double* sums,
                        cudaStream_t stream);

// OverlapGradientBlock; factors: [samples, channels, 2], on the device.
cudaError_t PutOverlapGradient(const Groups& groups, Grouped<const float> pred,
                               Grouped<const float> target, bool sigmoid, const float* factors,
                               const GradientPlace& gradient, cudaStream_t stream);

struct AffinityErrorTensors {
  Grouped<const float> affinity;
  Grouped<const float> target;
  Grouped<const float> weight;
  Grouped<const bool> unknown;  // Where the gradient is 0; none: nowhere.
  GradientPlace gradient;
};

// AffinityErrorBlock, without its map. One sum.
cudaError_t SweepAffinityErrors(const Groups& groups, const AffinityErrorTensors& tensors,
                                bool sigmoid, float gradient_scale, double* sums,
                                cudaStream_t stream);

}  // namespace lossd

#endif  // LOSSD_SWEEP_CUDA_SWEEPS_H_
