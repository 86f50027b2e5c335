#include "lossd/sweep/slabs.h"

#include <ATen/ExpandUtils.h>
#include <ATen/core/LegacyTypeDispatch.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

namespace lossd {
namespace {

// Elements of a slab, more or less: some milliseconds for an expression of a few operators.
constexpr int64_t kElements = 1 << 18;
// Slabs of single voxels are whole vectors, as they are in the whole: LibTorch computes what fills
// none with other instructions.
constexpr int64_t kVoxels = 64;

}  // namespace

at::Tensor Part(const at::Tensor& tensor, int64_t dimension, int64_t begin, int64_t size) {
  return size == tensor.size(dimension) ? tensor : tensor.narrow(dimension, begin, size);
}

at::Tensor Slab::Of(const at::Tensor& tensor) const {
  if (!tensor.defined()) return tensor;
  const at::Tensor part = Part(tensor, 0, sample, 1);
  return part.size(2) == 1 ? part : Part(part, 2, begin, size);
}

absl::Status ForEachSlab(at::IntArrayRef sizes, const Context& context,
                         const std::function<absl::Status(const Slab& slab)>& body) {
  const int64_t length = sizes[2];
  const int64_t plane = sizes[1] * c10::multiply_integers(sizes.slice(3));
  int64_t thickness = std::max<int64_t>(1, kElements / std::max<int64_t>(1, plane));
  if (thickness > kVoxels) thickness -= thickness % kVoxels;
  if (context.on_gpu()) thickness = std::max<int64_t>(1, length);
  const int64_t per_sample = (length + thickness - 1) / thickness;
  std::vector<absl::Status> statuses(sizes[0] * per_sample);
  context.ForEach(sizes[0] * per_sample, [&](int64_t i) {
    const int64_t begin = i % per_sample * thickness;
    statuses[i] = body(
        {.sample = i / per_sample, .begin = begin, .size = std::min(thickness, length - begin)});
  });
  if (absl::Status status = context.status(); !status.ok()) return status;
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

at::Tensor FromSlabs(at::IntArrayRef sizes, const at::TensorOptions& options,
                     const Context& context,
                     const std::function<at::Tensor(const Slab& slab)>& part) {
  at::Tensor whole = at::empty(sizes, options);
  ForEachSlab(sizes, context, [&](const Slab& slab) {
    slab.Of(whole).copy_(part(slab));
    return absl::OkStatus();
  }).IgnoreError();
  return whole;
}

at::Tensor MapSlabs(
    const at::Tensor& a, const at::Tensor& b, at::ScalarType type, const Context& context,
    const std::function<at::Tensor(const at::Tensor& a, const at::Tensor& b)>& map) {
  const std::vector<int64_t> sizes =
      b.defined() ? at::infer_size(a.sizes(), b.sizes()) : a.sizes().vec();
  return FromSlabs(sizes, a.options().dtype(type), context,
                   [&](const Slab& slab) { return map(slab.Of(a), slab.Of(b)); });
}

at::Tensor ToType(const at::Tensor& tensor, at::ScalarType type, const Context& context) {
  if (tensor.scalar_type() == type) return tensor;
  return FromSlabs(tensor.sizes(), tensor.options().dtype(type), context,
                   [&](const Slab& slab) { return slab.Of(tensor); });
}

template <typename T>
ValueRange<T> RangeOf(const at::Tensor& tensor, const Context& context) {
  const auto is_nan = [](T value) { return value != value; };
  std::mutex mutex;
  std::optional<ValueRange<T>> range;
  ForEachSlab(tensor.sizes(), context, [&](const Slab& slab) {
    // No part of any gradient.
    const at::AutoDispatchBelowAutograd without_autograd;
    const auto [least, greatest] = at::aminmax(slab.Of(tensor));
    const auto low = least.template item<T>();
    const auto high = greatest.template item<T>();
    const std::scoped_lock lock(mutex);
    if (!range.has_value() || is_nan(low)) {
      range = {.low = low, .high = high};
    } else if (!is_nan(range->low)) {
      range = {.low = std::min(range->low, low), .high = std::max(range->high, high)};
    }
    return absl::OkStatus();
  }).IgnoreError();
  return range.value_or(ValueRange<T>{});
}

template ValueRange<double> RangeOf(const at::Tensor&, const Context&);
template ValueRange<int64_t> RangeOf(const at::Tensor&, const Context&);

}  // namespace lossd
