#include "lossd/affinity/components.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <numeric>
#include <vector>

namespace lossd {
namespace {

// Until the end, labels hold a forest: each voxel points to an earlier one of its component, the
// first one to itself.
uint32_t Find(uint32_t* parent, uint32_t v) {
  while (parent[v] != v) {
    parent[v] = parent[parent[v]];
    v = parent[v];
  }
  return v;
}

// The edges of a channel, seen from their later voxels: v is joined to v − distance.
struct Backward {
  EdgeBox box;  // Of the later voxels.
  int64_t distance;
  const uint8_t* positive;  // By later voxel.
};

std::vector<Backward> BackwardEdges(const GridShape& shape, absl::Span<const Offset> neighborhood,
                                    absl::Span<const uint8_t> positive) {
  std::vector<Backward> edges;
  for (size_t c = 0; c < neighborhood.size(); ++c) {
    const Offset& offset = neighborhood[c];
    EdgeBox box = EdgesOf(shape, offset);
    if (box.empty()) continue;
    const uint8_t* flags = positive.data() + static_cast<int64_t>(c) * shape.voxels();
    if (box.stride > 0) {
      // Move the box to the edges' far ends.
      box.begin = {box.begin.z + offset.z, box.begin.y + offset.y, box.begin.x + offset.x};
      box.end = {box.end.z + offset.z, box.end.y + offset.y, box.end.x + offset.x};
      flags -= box.stride;
    }
    edges.push_back({.box = box, .distance = std::abs(box.stride), .positive = flags});
  }
  // The shortest first: they make runs along x, which the others then join.
  std::stable_sort(edges.begin(), edges.end(),
                   [](const Backward& a, const Backward& b) { return a.distance < b.distance; });
  return edges;
}

// Joins the voxels [first, first + count) of a row, which nothing has joined yet, with those that
// `edges` lead to, as far as these lie at or after `start`.
void StartRow(const Backward& edges, int64_t first, int64_t count, int64_t start,
              uint32_t* labels) {
  for (int64_t v = std::max(first, start + edges.distance); v < first + count; ++v) {
    labels[v] = edges.positive[v] != 0 ? labels[v - edges.distance] : labels[v];
  }
}

// The same for voxels that may be joined already.
void JoinRow(const Backward& edges, int64_t first, int64_t count, int64_t start, uint32_t* labels) {
  // Neighbouring edges mostly join the same two sets: do it once.
  uint32_t last_a = ~uint32_t{0};
  uint32_t last_b = ~uint32_t{0};
  for (int64_t v = std::max(first, start + edges.distance); v < first + count; ++v) {
    if (edges.positive[v] == 0) continue;
    const uint32_t a = labels[v];
    const uint32_t b = labels[v - edges.distance];
    if (a == b || (a == last_a && b == last_b)) continue;
    last_a = a;
    last_b = b;
    const uint32_t root_a = Find(labels, a);
    const uint32_t root_b = Find(labels, b);
    labels[std::max(root_a, root_b)] = std::min(root_a, root_b);
  }
}

// Calls join(edges, first voxel, count) for the rows of the slices [z_begin, z_end).
template <typename JoinRows>
void ForEachBackwardRow(const GridShape& shape, const std::vector<Backward>& edges, int64_t z_begin,
                        int64_t z_end, const JoinRows& join) {
  for (int64_t z = z_begin; z < z_end; ++z) {
    for (int64_t y = 0; y < shape.y; ++y) {
      const int64_t row = (z * shape.y + y) * shape.x;
      for (const Backward& channel : edges) {
        const EdgeBox& box = channel.box;
        if (z < box.begin.z || z >= box.end.z || y < box.begin.y || y >= box.end.y) continue;
        join(channel, row + box.begin.x, box.end.x - box.begin.x);
      }
    }
  }
}

// Numbers components of more than one voxel; returns how many there are.
uint32_t Number(uint32_t* labels, uint32_t n) {
  // First voxels of such components get this bit, while all others come to point to them directly.
  constexpr uint32_t kSeveral = uint32_t{1} << 31;
  for (uint32_t v = 0; v < n; ++v) {
    const uint32_t parent = labels[v];
    if (parent == v) continue;
    const uint32_t above = labels[parent] & ~kSeveral;
    labels[v] = above;
    if ((labels[above] & kSeveral) == 0) labels[above] |= kSeveral;
  }
  uint32_t count = 0;
  for (uint32_t v = 0; v < n; ++v) {
    const uint32_t first = labels[v];
    if ((first & kSeveral) != 0) {
      labels[v] = ++count;
    } else {
      labels[v] = first == v ? 0 : labels[first];
    }
  }
  return count;
}

}  // namespace

uint32_t ConnectedComponents(const GridShape& shape, absl::Span<const Offset> neighborhood,
                             absl::Span<const uint8_t> positive, TaskPool& pool,
                             absl::Span<uint32_t> labels) {
  const std::vector<Backward> edges = BackwardEdges(shape, neighborhood, positive);
  const int64_t slice = shape.y * shape.x;
  // Slabs of slices by themselves, each with its own part of the forest; then what joins them.
  const int64_t slab = std::max<int64_t>(1, (shape.z + pool.threads() - 1) / pool.threads());
  pool.ParallelFor(shape.z, slab, [&](int64_t begin, int64_t end) {
    std::iota(labels.data() + begin * slice, labels.data() + end * slice,
              static_cast<uint32_t>(begin * slice));
    ForEachBackwardRow(shape, edges, begin, end,
                       [&](const Backward& channel, int64_t first, int64_t count) {
                         const auto join = &channel == edges.data() ? StartRow : JoinRow;
                         join(channel, first, count, begin * slice, labels.data());
                       });
  });
  for (int64_t begin = slab; begin < shape.z; begin += slab) {
    const int64_t start = begin * slice;
    ForEachBackwardRow(shape, edges, begin, std::min(shape.z, begin + slab),
                       [&](const Backward& channel, int64_t first, int64_t count) {
                         const int64_t crossing = start + channel.distance - first;
                         if (crossing <= 0) return;
                         JoinRow(channel, first, std::min(count, crossing), 0, labels.data());
                       });
  }
  return Number(labels.data(), static_cast<uint32_t>(labels.size()));
}

}  // namespace lossd
