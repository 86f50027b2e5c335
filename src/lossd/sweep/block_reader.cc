#include "lossd/sweep/block_reader.h"

#include <algorithm>
#include <vector>

#include "lossd/sweep/kernels.h"

namespace lossd {
namespace {

template <typename T>
void Convert(const char* data, int64_t offset, int64_t stride, int64_t size, float* out) {
  const T* elements = reinterpret_cast<const T*>(data) + offset;
  if (stride == 0) {
    std::fill_n(out, size, static_cast<float>(*elements));
    return;
  }
  for (int64_t i = 0; i < size; ++i) out[i] = static_cast<float>(elements[i]);
}

}  // namespace

int64_t VoxelStride(const at::Tensor& tensor) {
  bool dense = true;
  bool constant = true;
  int64_t next = 1;
  for (int64_t d = tensor.dim() - 1; d >= 2; --d) {
    if (tensor.size(d) == 1) continue;
    dense = dense && tensor.stride(d) == next;
    constant = constant && tensor.stride(d) == 0;
    next *= tensor.size(d);
  }
  if (dense) return 1;
  return constant ? 0 : -1;
}

at::Tensor SpatiallyDense(at::Tensor tensor, at::IntArrayRef sizes) {
  while (tensor.dim() < static_cast<int64_t>(sizes.size())) tensor = tensor.unsqueeze(0);
  const at::Tensor broadcast = tensor.sizes() == sizes ? tensor : tensor.expand(sizes);
  if (VoxelStride(broadcast) >= 0) return broadcast;
  // Samples and channels that are broadcast stay one in the copy.
  std::vector<int64_t> spatial = sizes.vec();
  spatial[0] = tensor.size(0);
  spatial[1] = tensor.size(1);
  return tensor.expand(spatial).contiguous().expand(sizes);
}

BlockReader::BlockReader(const at::Tensor& tensor, at::IntArrayRef sizes,
                         std::optional<ClampRange> clamp)
    : clamp_(clamp) {
  if (!tensor.defined()) return;
  tensor_ = SpatiallyDense(tensor.detach(), sizes);
  // Booleans are bytes of 0 and 1; what has no loop below is widened as a whole.
  switch (tensor_.scalar_type()) {
    case at::kFloat:
    case at::kHalf:
    case at::kBFloat16:
    case at::kDouble:
    case at::kBool:
    case at::kByte:
    case at::kInt:
    case at::kLong:
      break;
    default:
      tensor_ = SpatiallyDense(tensor.detach().to(at::kFloat), sizes);
  }
  type_ = tensor_.scalar_type();
  data_ = static_cast<const char*>(tensor_.const_data_ptr());
  sample_stride_ = tensor_.stride(0);
  channel_stride_ = tensor_.stride(1);
  voxel_stride_ = VoxelStride(tensor_);
}

const float* BlockReader::Read(const BlockRange& range, float* scratch) const {
  if (data_ == nullptr) return nullptr;
  const float* const elements = Widen(range, scratch);
  if (!clamp_.has_value()) return elements;
  ClampBlock(elements, static_cast<float>(clamp_->min), static_cast<float>(clamp_->max), range.size,
             scratch);
  return scratch;
}

const float* BlockReader::Widen(const BlockRange& range, float* scratch) const {
  const int64_t offset =
      range.sample * sample_stride_ + range.channel * channel_stride_ + range.begin * voxel_stride_;
  const auto convert = [&](auto element) {
    Convert<decltype(element)>(data_, offset, voxel_stride_, range.size, scratch);
  };
  switch (type_) {
    case at::kFloat:
      if (voxel_stride_ == 1) return reinterpret_cast<const float*>(data_) + offset;
      convert(float());
      break;
    case at::kHalf:
    case at::kBFloat16: {
      const auto* bits = reinterpret_cast<const uint16_t*>(data_) + offset;
      const auto widen = type_ == at::kHalf ? &WidenHalf : &WidenBfloat16;
      widen(bits, voxel_stride_ == 1 ? range.size : 1, scratch);
      if (voxel_stride_ == 0) std::fill_n(scratch, range.size, *scratch);
      break;
    }
    case at::kDouble:
      convert(double());
      break;
    case at::kInt:
      convert(int32_t());
      break;
    case at::kLong:
      convert(int64_t());
      break;
    default:
      convert(uint8_t());
  }
  return scratch;
}

}  // namespace lossd
