#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstring>

#include "lossd/device/sweeps.h"
#include "lossd/sweep/cuda/sweeps.h"

namespace lossd {
namespace {

// [B, C, V] whose voxels have stride 0 or 1; a copy only where they have neither.
at::Tensor Voxels(const at::Tensor& tensor, at::ScalarType type) {
  at::Tensor voxels = tensor.to(type).flatten(2);
  const int64_t stride = voxels.stride(2);
  return stride == 0 || stride == 1 || voxels.size(2) == 1 ? voxels : voxels.contiguous();
}

template <typename T>
Grouped<T> GroupedOf(const at::Tensor& voxels) {
  if (!voxels.defined()) return {};
  return {.data = static_cast<T*>(voxels.data_ptr()),
          .sample_stride = voxels.stride(0),
          .channel_stride = voxels.stride(1),
          .voxel_stride = voxels.stride(2)};
}

// A sweep's sums and gradient.
class Sweep {
 public:
  Sweep(const at::Tensor& pred, int64_t sums, const GpuGradient& gradient)
      : guard_(pred.device()),
        groups_{.samples = pred.size(0),
                .channels = pred.size(1),
                .voxels = c10::multiply_integers(pred.sizes().slice(2))},
        partial_(at::empty({groups_.samples, groups_.channels, groups_.parts(), sums},
                           pred.options().dtype(at::kDouble))) {
    if (!gradient.into.defined()) return;
    not_finite_ = at::zeros({1}, pred.options().dtype(at::kInt));
    // Not a copy, in which it would be lost.
    const at::Tensor into = gradient.into.view({groups_.samples, groups_.channels, groups_.voxels});
    place_ = {.into = GroupedOf<float>(into),
              .add = gradient.add,
              .not_finite = static_cast<uint32_t*>(not_finite_.mutable_data_ptr())};
  }

  const Groups& groups() const { return groups_; }
  double* partial() const { return partial_.mutable_data_ptr<double>(); }
  const GradientPlace& place() const { return place_; }
  cudaStream_t stream() const { return c10::cuda::getCurrentCUDAStream(); }

  at::Tensor Sums() const { return partial_.sum(2).to(at::kCPU); }
  bool finite() const { return !not_finite_.defined() || not_finite_.item<int>() == 0; }

 private:
  const c10::cuda::CUDAGuard guard_;
  const Groups groups_;
  const at::Tensor partial_;  // [B, C, parts, sums]
  at::Tensor not_finite_;
  GradientPlace place_;
};

}  // namespace

GpuSums SumPointwiseOnGpu(int loss, absl::Span<const PointwiseChannel> channels,
                          const at::Tensor& pred, const at::Tensor& target,
                          const at::Tensor& weight, const GpuGradient& gradient) {
  const Sweep sweep(pred, 1, gradient);
  const auto bytes = static_cast<int64_t>(channels.size() * sizeof(PointwiseChannel));
  at::Tensor on_host = at::empty({bytes}, at::kByte);
  std::memcpy(on_host.mutable_data_ptr(), channels.data(), static_cast<size_t>(bytes));
  const at::Tensor of_channels = on_host.to(pred.device());
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
