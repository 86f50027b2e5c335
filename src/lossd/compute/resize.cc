#include "lossd/compute/resize.h"

#include <cstdint>
#include <vector>

#include "lossd/sweep/slabs.h"

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

// Resizes [B, C, …] to floats [B, C, size…], a channel of a sample at a time and these in parallel:
// resize(channel [1, 1, …]) says how.
template <typename Resize>
at::Tensor ForEachChannel(const at::Tensor& source, at::IntArrayRef size, const Context& context,
                          const Resize& resize) {
  std::vector<int64_t> sizes = source.sizes().slice(0, 2).vec();
  sizes.insert(sizes.end(), size.begin(), size.end());
  at::Tensor resized = at::empty(sizes, source.options().dtype(at::kFloat));
  const int64_t channels = source.size(1);
  context.ParallelFor(source.size(0) * channels, 1, [&](int64_t i, int64_t /*end*/) {
    const auto part = [&](const at::Tensor& whole) {
      return whole.narrow(0, i / channels, 1).narrow(1, i % channels, 1);
    };
    part(resized).copy_(resize(part(source)));
  });
  return resized;
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

at::Tensor ResizeDense(const at::Tensor& source, at::IntArrayRef size, const Context& context) {
  if (HasSize(source, size)) return source;
  if (!source.is_floating_point()) return ResizeNearest(source, size);
  const at::Tensor values = ToType(source, at::kFloat, context);
  at::Tensor resized = ForEachChannel(values, size, context, [&](const at::Tensor& channel) {
    return size.size() == 3 ? at::upsample_trilinear3d(channel, size, /*align_corners=*/false)
                            : at::upsample_bilinear2d(channel, size, /*align_corners=*/false);
  });
  // Signed distances squashed by tanh lie within [−1, 1], and must after interpolation.
  const auto [low, high] = RangeOf(values, context);
  if (low >= -1.5 && high <= 1.5) resized.clamp_(-1, 1);
  return resized;
}

at::Tensor ResizeKnown(const at::Tensor& known, at::IntArrayRef size, const Context& context) {
  if (HasSize(known, size)) return known;
  const at::Tensor share = ForEachChannel(known, size, context, [&](const at::Tensor& channel) {
    const at::Tensor unknown = channel.logical_not().to(at::kFloat);
    return size.size() == 3 ? at::adaptive_avg_pool3d(unknown, size)
                            : at::adaptive_avg_pool2d(unknown, size);
  });
  return share.le(0);
}

}  // namespace lossd
