#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "lossd/device/grouped.h"
#include "lossd/device/sweeps.h"
#include "lossd/sweep/cuda/sweeps.h"

namespace lossd {
namespace {

// A sweep's sums and gradient.
class Sweep {
 public:
  Sweep(const at::Tensor& pred, int64_t sums, const GpuGradient& gradient)
      : guard_(pred.device()),
        groups_{.samples = pred.size(0),
                .channels = pred.size(1),
                .voxels = c10::multiply_integers(pred.sizes().slice(2))},
        partial_(at::empty({groups_.samples, groups_.channels, groups_.parts(), sums},
                           pred.options().dtype(at::kDouble))),
        gradient_(gradient) {}

  const Groups& groups() const { return groups_; }
  double* partial() const { return partial_.mutable_data_ptr<double>(); }
  const GradientPlace& place() const { return gradient_.place(); }
  cudaStream_t stream() const { return c10::cuda::getCurrentCUDAStream(); }

  at::Tensor Sums() const { return partial_.sum(2).to(at::kCPU); }
  bool finite() const { return gradient_.finite(); }

 private:
  const c10::cuda::CUDAGuard guard_;
  const Groups groups_;
  const at::Tensor partial_;  // [B, C, parts, sums]
  const GpuGradientPlace gradient_;
};

}  // namespace

GpuSums SumPointwiseOnGpu(int loss, absl::Span<const PointwiseChannel> channels,
                          const at::Tensor& pred, const at::Tensor& target,
                          const at::Tensor& weight, const GpuGradient& gradient) {
  const Sweep sweep(pred, 1, gradient);
  const at::Tensor of_channels = ChannelsOn(pred.device(), channels);
  const at::Tensor preds = Voxels(pred, at::kFloat);
  const at::Tensor targets = Voxels(target, at::kFloat);
  const at::Tensor weights = weight.defined() ? Voxels(weight, at::kFloat) : weight;
  C10_CUDA_CHECK(SweepPointwise(loss, sweep.groups(),
                                {.pred = GroupedOf<const float>(preds),
                                 .target = GroupedOf<const float>(targets),
                                 .weight = GroupedOf<const float>(weights),
                                 .gradient = sweep.place()},
                                static_cast<const PointwiseChannel*>(of_channels.data_ptr()),
                                sweep.partial(), sweep.stream()));
  return {.sums = sweep.Sums(), .finite = sweep.finite()};
}

at::Tensor SumOverlapsOnGpu(const at::Tensor& pred, const at::Tensor& target, bool sigmoid) {
  const Sweep sweep(pred, 3, {});
  const at::Tensor preds = Voxels(pred, at::kFloat);
  const at::Tensor targets = Voxels(target, at::kFloat);
  C10_CUDA_CHECK(SumOverlaps(sweep.groups(), GroupedOf<const float>(preds),
                             GroupedOf<const float>(targets), sigmoid, sweep.partial(),
                             sweep.stream()));
  return sweep.Sums();
}

bool PutOverlapGradientOnGpu(const at::Tensor& pred, const at::Tensor& target, bool sigmoid,
                             const at::Tensor& factors, const GpuGradient& gradient) {
  const Sweep sweep(pred, 0, gradient);
  const at::Tensor preds = Voxels(pred, at::kFloat);
  const at::Tensor targets = Voxels(target, at::kFloat);
  const at::Tensor there = factors.to(at::kFloat).contiguous().to(pred.device());
  C10_CUDA_CHECK(PutOverlapGradient(sweep.groups(), GroupedOf<const float>(preds),
                                    GroupedOf<const float>(targets), sigmoid,
                                    there.const_data_ptr<float>(), sweep.place(), sweep.stream()));
  return sweep.finite();
}

GpuSums SumAffinityErrorsOnGpu(const GpuAffinityErrors& errors, const GpuGradient& gradient) {
  const Sweep sweep(errors.affinity, 1, gradient);
  const at::Tensor affinities = Voxels(errors.affinity, at::kFloat);
  const at::Tensor targets = Voxels(errors.target, at::kFloat);
  const at::Tensor weights = Voxels(errors.weight, at::kFloat);
  const at::Tensor unknown =
      errors.unknown.defined() ? Voxels(errors.unknown, at::kBool) : errors.unknown;
  C10_CUDA_CHECK(SweepAffinityErrors(sweep.groups(),
                                     {.affinity = GroupedOf<const float>(affinities),
                                      .target = GroupedOf<const float>(targets),
                                      .weight = GroupedOf<const float>(weights),
                                      .unknown = GroupedOf<const bool>(unknown),
                                      .gradient = sweep.place()},
                                     errors.sigmoid, errors.gradient_scale, sweep.partial(),
                                     sweep.stream()));
  return {.sums = sweep.Sums(), .finite = sweep.finite()};
}

}  // namespace lossd
