#include "lossd/orchestrator/resize.h"

namespace lossd {
namespace {

bool HasSize(const at::Tensor& tensor, at::IntArrayRef size) {
  return tensor.sizes().slice(2) == size;
}

// For each index of an axis resized from `from` to `to`, the index it is taken from. Left to
// LibTorch, so that it is the one that training code sees; indices are exact in float32 up to 2²⁴.
at::Tensor NearestIndices(int64_t from, int64_t to, const at::Device& device) {
  const at::Tensor ramp =
      at::arange(from, at::TensorOptions().dtype(at::kFloat).device(device)).view({1, 1, from});
  return at::upsample_nearest1d(ramp, {to}).view({to}).to(at::kLong);
}

}  // namespace

at::Tensor ResizeNearest(const at::Tensor& source, at::IntArrayRef size) {
  at::Tensor resized = source;
  for (int64_t axis = 0; axis < static_cast<int64_t>(size.size()); ++axis) {
    const int64_t from = source.size(axis + 2);
    const int64_t to = size[static_cast<size_t>(axis)];
    if (from != to) {
      resized = resized.index_select(axis + 2, NearestIndices(from, to, source.device()));
    }
  }
  return resized;
}

at::Tensor ResizeDense(const at::Tensor& source, at::IntArrayRef size) {
  if (HasSize(source, size)) return source;
  if (!source.is_floating_point()) return ResizeNearest(source, size);
  const at::Tensor values = source.to(at::kFloat);
  at::Tensor resized = size.size() == 3
                           ? at::upsample_trilinear3d(values, size, /*align_corners=*/false)
                           : at::upsample_bilinear2d(values, size, /*align_corners=*/false);
  // Signed distances squashed by tanh lie within [−1, 1], and must after interpolation.
  const auto [low, high] = at::aminmax(values);
  if (low.item<float>() >= -1.5F && high.item<float>() <= 1.5F) resized.clamp_(-1, 1);
  return resized;
}

at::Tensor ResizeKnown(const at::Tensor& known, at::IntArrayRef size) {
  if (HasSize(known, size)) return known;
  const at::Tensor unknown = known.logical_not().to(at::kFloat);
  const at::Tensor share = size.size() == 3 ? at::adaptive_avg_pool3d(unknown, size)
                                            : at::adaptive_avg_pool2d(unknown, size);
  return share.le(0);
}

}  // namespace lossd
