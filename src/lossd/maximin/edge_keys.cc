#include "lossd/maximin/edge_keys.h"

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

// Memory for a KeyArray.
class KeyStorage {
 public:
  KeyStorage(const MalisSample& sample, Workspace& workspace)
      : margin_(KeyMargin(sample.shape, sample.neighborhood)),
        channel_stride_(sample.shape.voxels() + margin_),
        buffer_(workspace,
                static_cast<size_t>(
                    static_cast<int64_t>(sample.neighborhood.size()) * channel_stride_ + margin_)) {
    for (size_t c = 0; c <= sample.neighborhood.size(); ++c) {
      std::fill_n(buffer_.data() + static_cast<int64_t>(c) * channel_stride_, margin_, kNoEdge);
    }
  }

  EdgeKey* At(int64_t channel, int64_t voxel) const {
    return buffer_.data() + margin_ + channel * channel_stride_ + voxel;
  }
  KeyArray Array() const { return {.first = At(0, 0), .channel_stride = channel_stride_}; }
  Workspace::Buffer<EdgeKey> Release() && { return std::move(buffer_); }

 private:
  int64_t margin_;
  int64_t channel_stride_;
  Workspace::Buffer<EdgeKey> buffer_;
};

// Calls fill(first edge, count, keys) for every row along x of every channel, and puts kNoEdge
// where the channel has no edge.
template <typename Fill>
void ForEachChannelRow(const MalisSample& sample, TaskPool& pool, const KeyStorage& keys,
                       const Fill& fill) {
  const GridShape& shape = sample.shape;
  const int64_t rows = shape.z * shape.y;
  const auto channels = static_cast<int64_t>(sample.neighborhood.size());
  pool.ParallelFor(channels * rows, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i / rows;
      const int64_t z = i % rows / shape.y;
      const int64_t y = i % rows % shape.y;
      const EdgeBox box = EdgesOf(shape, sample.neighborhood[c]);
      EdgeKey* const row = keys.At(c, i % rows * shape.x);
      const bool inside = z >= box.begin.z && z < box.end.z && y >= box.begin.y && y < box.end.y;
      fill(i * shape.x, shape.x, row);
      std::fill(row, row + (inside ? box.begin.x : shape.x), kNoEdge);
      std::fill(row + (inside ? box.end.x : shape.x), row + shape.x, kNoEdge);
    }
  });
}

// The keys both passes can share. Returns false when there is an affinity outside [0, 1].
bool BuildSharedKeys(const MalisSample& sample, TaskPool& pool, const KeyStorage& keys) {
  std::atomic<bool> in_range = true;
  ForEachChannelRow(sample, pool, keys, [&](int64_t first, int64_t count, EdgeKey* out) {
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

// A key for any number: the order of floats as integers.
EdgeKey Ordered(float affinity) {
  const auto bits = std::bit_cast<EdgeKey>(affinity + 0.0F);
  return bits ^ ((bits >> 31) & std::numeric_limits<EdgeKey>::max());
}

// The keys of one pass for any mask and any numbers. Edges that the constraint does not bind may
// lie beyond the constraint's value: then they stand on the far side of the constrained ones, with
// a key between left free for those.
void BuildPassKeys(const MalisSample& sample, MalisPass pass, bool in_range, TaskPool& pool,
                   const KeyStorage& keys) {
  const bool negative = pass == MalisPass::kNegative;
  const EdgeKey beside = negative ? kOne + 1 : -1;
  const EdgeKey constrained = in_range ? (negative ? kContracted : kNoEdge) : beside;
  ForEachChannelRow(sample, pool, keys, [&](int64_t first, int64_t count, EdgeKey* out) {
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

absl::StatusOr<EdgeKeys> BuildEdgeKeys(const MalisSample& sample, TaskPool& pool,
                                       Workspace& workspace) {
  EdgeKeys keys;
  KeyStorage shared(sample, workspace);
  const bool in_range = BuildSharedKeys(sample, pool, shared);
  if (!in_range) {
    const auto* const nan = std::find_if(sample.affinity.begin(), sample.affinity.end(),
                                         [](float a) { return std::isnan(a); });
    if (nan != sample.affinity.end()) {
      return FieldError("affinity", absl::StrCat("NaN at index ", nan - sample.affinity.begin()),
                        "numbers");
    }
  }
  if (in_range && sample.known.empty()) {
    keys.pass[0] = {.keys = shared.Array(), .lowest = 0, .contracted = kPositive};
    keys.pass[1] = {.keys = shared.Array(), .lowest = kPositive};
    keys.storage[0] = std::move(shared).Release();
    return keys;
  }
  KeyStorage other(sample, workspace);
  KeyStorage* const storages[2] = {&shared, &other};
  for (const int pass : {0, 1}) {
    KeyStorage& storage = *storages[pass];
    BuildPassKeys(sample, static_cast<MalisPass>(pass), in_range, pool, storage);
    keys.pass[pass].keys = storage.Array();
    keys.storage[pass] = std::move(storage).Release();
  }
  if (in_range) keys.pass[0].contracted = kContracted;
  return keys;
}

}  // namespace lossd
