#include "lossd/malis/cpu/edge_keys.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr EdgeKey kOne = std::bit_cast<EdgeKey>(1.0F);
// Bit 30 is free in the bits of a float in [0, 1].
constexpr EdgeKey kPositive = EdgeKey{1} << 30;
constexpr EdgeKey kContracted = std::numeric_limits<EdgeKey>::max() - 1;

// Where the keys of a sample lie in their storage.
class KeyPlaces {
 public:
  explicit KeyPlaces(const MalisSample& sample)
      : channels_(static_cast<int64_t>(sample.neighborhood.size())),
        margin_(KeyMargin(sample.shape, sample.neighborhood)),
        channel_stride_(sample.shape.voxels() + margin_) {}

  // With its margins filled.
  Workspace::Buffer<EdgeKey> Allocate(Workspace& workspace) const {
    Workspace::Buffer<EdgeKey> storage(workspace,
                                       static_cast<size_t>(channels_ * channel_stride_ + margin_));
    for (int64_t c = 0; c <= channels_; ++c) {
      std::fill_n(storage.data() + c * channel_stride_, margin_, kNoEdge);
    }
    return storage;
  }

  KeyArray In(const Workspace::Buffer<EdgeKey>& storage) const {
    return {.first = storage.data() + margin_, .channel_stride = channel_stride_};
  }
  EdgeKey* At(const Workspace::Buffer<EdgeKey>& storage, int64_t channel, int64_t voxel) const {
    return storage.data() + margin_ + channel * channel_stride_ + voxel;
  }

 private:
  int64_t channels_;
  int64_t margin_;
  int64_t channel_stride_;
};

// Calls fill(first edge, count, keys) for every row along x of every channel, and puts kNoEdge
// where the channel has no edge.
template <typename Fill>
void ForEachChannelRow(const MalisSample& sample, const Context& context,
                       const Workspace::Buffer<EdgeKey>& storage, const Fill& fill) {
  const GridShape& shape = sample.shape;
  const KeyPlaces places(sample);
  const int64_t rows = shape.z * shape.y;
  const auto channels = static_cast<int64_t>(sample.neighborhood.size());
  context.ParallelFor(channels * rows, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i / rows;
      const int64_t z = i % rows / shape.y;
      const int64_t y = i % rows % shape.y;
      const EdgeBox box = EdgesOf(shape, sample.neighborhood[c]);
      EdgeKey* const row = places.At(storage, c, i % rows * shape.x);
      const bool inside = z >= box.begin.z && z < box.end.z && y >= box.begin.y && y < box.end.y;
      fill(i * shape.x, shape.x, row);
      std::fill(row, row + (inside ? box.begin.x : shape.x), kNoEdge);
      std::fill(row + (inside ? box.end.x : shape.x), row + shape.x, kNoEdge);
    }
  });
}

// The keys both passes can share. Returns false when there is an affinity outside [0, 1].
bool BuildSharedKeys(const MalisSample& sample, const Context& context,
                     const Workspace::Buffer<EdgeKey>& storage) {
  std::atomic<bool> in_range = true;
  ForEachChannelRow(sample, context, storage, [&](int64_t first, int64_t count, EdgeKey* out) {
    const float* const affinity = sample.affinity.data() + first;
    const uint8_t* const positive = sample.positive.data() + first;
    uint32_t beyond = 0;
    for (int64_t x = 0; x < count; ++x) {
      const auto bits = std::bit_cast<EdgeKey>(affinity[x] + 0.0F);  // −0 becomes 0.
      beyond |= static_cast<uint32_t>(bits) > static_cast<uint32_t>(kOne) ? 1U : 0U;
      out[x] = bits | (positive[x] != 0 ? kPositive : 0);
    }
    if (beyond != 0) in_range.store(false, std::memory_order_relaxed);
  });
  return in_range;
}

// The index of the first NaN, or how many affinities there are.
int64_t FirstNan(absl::Span<const float> affinity, const Context& context) {
  constexpr int64_t kGrain = 1 << 18;
  const auto size = static_cast<int64_t>(affinity.size());
  std::atomic<int64_t> first = size;
  context.ParallelFor(size, kGrain, [&](int64_t begin, int64_t end) {
    const float* const stop = affinity.data() + end;
    const float* const nan =
        std::find_if(affinity.data() + begin, stop, [](float a) { return std::isnan(a); });
    if (nan == stop) return;
    const int64_t index = nan - affinity.data();
    int64_t before = first.load(std::memory_order_relaxed);
    while (index < before && !first.compare_exchange_weak(before, index)) {
    }
  });
  return first;
}

// A key for any number: the order of floats as integers.
EdgeKey Ordered(float affinity) {
  const auto bits = std::bit_cast<EdgeKey>(affinity + 0.0F);
  return bits ^ ((bits >> 31) & std::numeric_limits<EdgeKey>::max());
}

}  // namespace

int64_t KeyMargin(const GridShape& shape, absl::Span<const Offset> neighborhood) {
  int64_t longest = 0;
  for (const Offset& offset : neighborhood) {
    longest = std::max(longest, std::abs(EdgesOf(shape, offset).stride));
  }
  // Two steps, and a vector beyond.
  return 2 * longest + kVectorKeys;
}

absl::StatusOr<EdgeKeys> BuildEdgeKeys(const MalisSample& sample, const Context& context,
                                       Workspace& workspace) {
  const KeyPlaces places(sample);
  EdgeKeys keys;
  keys.storage = places.Allocate(workspace);
  keys.in_range = BuildSharedKeys(sample, context, keys.storage);
  const auto size = static_cast<int64_t>(sample.affinity.size());
  const int64_t nan = keys.in_range ? size : FirstNan(sample.affinity, context);
  if (absl::Status status = context.status(); !status.ok()) return status;
  if (nan != size) {
    return FieldError("affinity", absl::StrCat("NaN at index ", nan), "numbers");
  }
  keys.shared = keys.in_range && sample.known.empty();
  if (keys.shared) {
    const KeyArray array = places.In(keys.storage);
    keys.pass[0] = {.keys = array, .lowest = 0, .contracted = kPositive};
    keys.pass[1] = {.keys = array, .lowest = kPositive};
  }
  return keys;
}

// Edges that the constraint does not bind may lie beyond the constraint's value: then they stand on
// the far side of the constrained ones, with a key between left free for those.
void BuildPassKeys(const MalisSample& sample, MalisPass pass, const Context& context,
                   EdgeKeys& keys) {
  const bool negative = pass == MalisPass::kNegative;
  const EdgeKey beside = negative ? kOne + 1 : -1;
  const EdgeKey constrained = keys.in_range ? (negative ? kContracted : kNoEdge) : beside;
  ForEachChannelRow(sample, context, keys.storage, [&](int64_t first, int64_t count, EdgeKey* out) {
    const float* const affinity = sample.affinity.data() + first;
    const uint8_t* const positive = sample.positive.data() + first;
    const uint8_t* const known = sample.known.empty() ? nullptr : sample.known.data() + first;
    for (int64_t i = 0; i < count; ++i) {
      const EdgeKey key = Ordered(affinity[i]);
      if ((known == nullptr || known[i] != 0) && (positive[i] != 0) == negative) {
        out[i] = constrained;
      } else if (negative) {
        out[i] = key + (key > kOne ? 1 : 0);
      } else {
        out[i] = key - (key < 0 ? 1 : 0);
      }
    }
  });
  PassKeys& built = keys.pass[static_cast<int>(pass)];
  built = {.keys = KeyPlaces(sample).In(keys.storage)};
  if (negative && keys.in_range) built.contracted = kContracted;
}

}  // namespace lossd
