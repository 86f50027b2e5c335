#include "lossd/sweep/slabs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <vector>

namespace lossd {
namespace {

// Elements of a slab, more or less: some milliseconds for an expression of a few operators.
constexpr int64_t kElements = 1 << 18;

}  // namespace

at::Tensor Slab::Of(const at::Tensor& tensor) const {
  if (!tensor.defined()) return tensor;
  at::Tensor part = tensor.size(0) == 1 ? tensor : tensor.narrow(0, sample, 1);
  return part.size(2) == 1 ? part : part.narrow(2, begin, size);
}

absl::Status ForEachSlab(at::IntArrayRef sizes, const Context& context,
                         const std::function<absl::Status(const Slab& slab)>& body) {
  const int64_t length = sizes[2];
  const int64_t plane = sizes[1] * c10::multiply_integers(sizes.slice(3));
  const int64_t thickness = std::max<int64_t>(1, kElements / std::max<int64_t>(1, plane));
  const int64_t per_sample = (length + thickness - 1) / thickness;
  std::vector<absl::Status> statuses(sizes[0] * per_sample);
  context.ParallelFor(sizes[0] * per_sample, 1, [&](int64_t i, int64_t /*end*/) {
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

at::Tensor ToType(const at::Tensor& tensor, at::ScalarType type, const Context& context) {
  if (tensor.scalar_type() == type) return tensor;
  const at::Tensor typed = at::empty(tensor.sizes(), tensor.options().dtype(type));
  ForEachSlab(tensor.sizes(), context, [&](const Slab& slab) {
    slab.Of(typed).copy_(slab.Of(tensor));
    return absl::OkStatus();
  }).IgnoreError();
  return typed;
}

ValueRange RangeOf(const at::Tensor& tensor, const Context& context) {
  std::mutex mutex;
  ValueRange range = {.low = std::numeric_limits<double>::infinity(),
                      .high = -std::numeric_limits<double>::infinity()};
  ForEachSlab(tensor.sizes(), context, [&](const Slab& slab) {
    const auto [least, greatest] = at::aminmax(slab.Of(tensor));
    const auto low = least.item<double>();
    const auto high = greatest.item<double>();
    const std::scoped_lock lock(mutex);
    if (std::isnan(range.low)) return absl::OkStatus();
    range.low = std::isnan(low) ? low : std::min(range.low, low);
    range.high = std::isnan(high) ? high : std::max(range.high, high);
    return absl::OkStatus();
  }).IgnoreError();
  return range;
}

}  // namespace lossd
