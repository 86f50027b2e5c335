#ifndef LOSSD_DEVICE_GROUPED_H_
#define LOSSD_DEVICE_GROUPED_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <cstring>

#include "absl/types/span.h"
#include "lossd/device/sweeps.h"
#include "lossd/sweep/cuda/groups.h"

// Tensors as sweeps on a GPU see them.
namespace lossd {

// [B, C, V] whose voxels have stride 0 or 1; a copy only where they have neither.
inline at::Tensor Voxels(const at::Tensor& tensor, at::ScalarType type) {
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

// Where a gradient goes, and whether what is put there is finite.
class GpuGradientPlace {
 public:
  explicit GpuGradientPlace(const GpuGradient& gradient) {
    if (!gradient.into.defined()) return;
    not_finite_ = at::zeros({1}, gradient.into.options().dtype(at::kInt));
    // Not a copy, in which it would be lost.
    const at::Tensor into = gradient.into.view({gradient.into.size(0), gradient.into.size(1), -1});
    place_ = {.into = GroupedOf<float>(into),
              .add = gradient.add,
              .not_finite = static_cast<uint32_t*>(not_finite_.mutable_data_ptr())};
  }

  const GradientPlace& place() const { return place_; }
  bool finite() const { return !not_finite_.defined() || not_finite_.item<int>() == 0; }

 private:
  at::Tensor not_finite_;
  GradientPlace place_;
};

// Channels of a pointwise loss, as bytes in the memory of a device.
inline at::Tensor ChannelsOn(const at::Device& device,
                             absl::Span<const PointwiseChannel> channels) {
  const auto bytes = static_cast<int64_t>(channels.size() * sizeof(PointwiseChannel));
  at::Tensor on_host = at::empty({bytes}, at::kByte);
  std::memcpy(on_host.mutable_data_ptr(), channels.data(), static_cast<size_t>(bytes));
  return on_host.to(device);
}

}  // namespace lossd

#endif  // LOSSD_DEVICE_GROUPED_H_
