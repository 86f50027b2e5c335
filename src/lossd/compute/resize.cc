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

// Resizes [B, C, …] to [B, C, size…] in the given type, a few indices of the first spatial
// dimension at a time, which divide it, and these parts in parallel: part(channel [1, 1, …], first
// index) says how.
template <typename Part>
at::Tensor ResizeInParts(const at::Tensor& source, at::IntArrayRef size, at::ScalarType type,
                         int64_t thickness, const Context& context, const Part& part) {
  std::vector<int64_t> sizes = source.sizes().slice(0, 2).vec();
  sizes.insert(sizes.end(), size.begin(), size.end());
  at::Tensor resized = at::empty(sizes, source.options().dtype(type));
  const int64_t channels = source.size(1);
  const int64_t parts = size[0] / thickness;
  context.ForEach(source.size(0) * channels * parts, [&](int64_t i) {
    const int64_t begin = i % parts * thickness;
    const int64_t channel = i / parts % channels;
    const int64_t sample = i / parts / channels;
    const auto of_channel = [&](const at::Tensor& whole) {
      return whole.narrow(0, sample, 1).narrow(1, channel, 1);
    };
    of_channel(resized).narrow(2, begin, thickness).copy_(part(of_channel(source), begin));
  });
  return resized;
}

// The size of such a part.
std::vector<int64_t> PartSize(at::IntArrayRef size, int64_t thickness) {
  std::vector<int64_t> part = size.vec();
  part[0] = thickness;
  return part;
}

}  // namespace

at::Tensor ResizeNearest(const at::Tensor& source, at::IntArrayRef size, const Context& context) {
  if (HasSize(source, size)) return source;
  std::vector<at::Tensor> indices;
  for (size_t axis = 0; axis < size.size(); ++axis) {
    indices.push_back(
        NearestIndices(source.size(static_cast<int64_t>(axis) + 2), size[axis], source.device()));
  }
  if (context.on_gpu()) {
    at::Tensor resized = source;
    for (size_t axis = 0; axis < size.size(); ++axis) {
      resized = resized.index_select(static_cast<int64_t>(axis) + 2, indices[axis]);
    }
    return resized;
  }
  const at::Tensor planes = indices[0].to(at::kCPU);
  const auto* const plane_of = planes.const_data_ptr<int64_t>();
  const auto resize = [&](const at::Tensor& channel, int64_t index) {
    at::Tensor plane = channel.narrow(2, plane_of[index], 1);
    for (size_t axis = 1; axis < size.size(); ++axis) {
      plane = plane.index_select(static_cast<int64_t>(axis) + 2, indices[axis]);
    }
    return plane;
  };
  return ResizeInParts(source, size, source.scalar_type(), /*thickness=*/1, context, resize);
}

at::Tensor ResizeDense(const at::Tensor& source, at::IntArrayRef size, const Context& context) {
  if (HasSize(source, size)) return source;
  if (!source.is_floating_point()) return ResizeNearest(source, size, context);
  const at::Tensor values = ToType(source, at::kFloat, context);
  // Signed distances squashed by tanh lie within [−1, 1], and must after interpolation.
  const auto [low, high] = RangeOf(values, context);
  const bool distances = low >= -1.5 && high <= 1.5;
  // A plane that is made of a whole number of others lies where it does in the whole, and comes out
  // as it does there, to the bit. Else the channel is resized as one.
  const bool in_planes = values.size(2) % size[0] == 0 && !context.on_gpu();
  const int64_t thickness = in_planes ? 1 : size[0];
  const int64_t covered = values.size(2) * thickness / size[0];
  const std::vector<int64_t> part = PartSize(size, thickness);
  const auto resize = [&](const at::Tensor& channel, int64_t begin) {
    const at::Tensor planes = channel.narrow(2, begin * covered, covered);
    at::Tensor resized = size.size() == 3
                             ? at::upsample_trilinear3d(planes, part, /*align_corners=*/false)
                             : at::upsample_bilinear2d(planes, part, /*align_corners=*/false);
    return distances ? resized.clamp_(-1, 1) : resized;
  };
  return ResizeInParts(values, size, at::kFloat, thickness, context, resize);
}

at::Tensor ResizeKnown(const at::Tensor& known, at::IntArrayRef size, const Context& context) {
  if (HasSize(known, size)) return known;
  if (context.on_gpu()) {
    const at::Tensor unknown = known.logical_not().to(at::kFloat);
    const at::Tensor share = size.size() == 3 ? at::adaptive_avg_pool3d(unknown, size)
                                              : at::adaptive_avg_pool2d(unknown, size);
    return share.le(0);
  }
  const std::vector<int64_t> plane_size = PartSize(size, 1);
  const int64_t from = known.size(2);
  const int64_t to = size[0];
  const auto resize = [&](const at::Tensor& channel, int64_t index) {
    // All that a plane covers, even in part.
    const int64_t begin = index * from / to;
    const int64_t end = ((index + 1) * from + to - 1) / to;
    const at::Tensor unknown = channel.narrow(2, begin, end - begin).logical_not().to(at::kFloat);
    const at::Tensor share = size.size() == 3 ? at::adaptive_avg_pool3d(unknown, plane_size)
                                              : at::adaptive_avg_pool2d(unknown, plane_size);
    return share.le(0);
  };
  return ResizeInParts(known, size, at::kBool, /*thickness=*/1, context, resize);
}

}  // namespace lossd
