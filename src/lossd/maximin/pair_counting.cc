#include "lossd/maximin/pair_counting.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace lossd {
namespace {

// The top bit of a node tells joins from leaves.
constexpr uint32_t kJoin = uint32_t{1} << 31;
constexpr uint32_t kNone = ~uint32_t{0};
// How many steps ahead memory is asked for what they will need.
constexpr uint32_t kAhead = 16;

}  // namespace

PairCounting::Node PairCounting::AddLeaf(uint32_t label, uint32_t voxels) {
  leaves_.PushBack({.label = label, .voxels = voxels});
  return static_cast<Node>(leaves_.size() - 1);
}

PairCounting::Node PairCounting::AddJoin(Node larger, Node smaller, uint32_t leaves,
                                         uint32_t edge) {
  joins_.PushBack({.larger = larger, .smaller = smaller, .leaves = leaves, .edge = edge});
  return static_cast<Node>(joins_.size() - 1) | kJoin;
}

uint32_t PairCounting::CompactLabels() {
  uint32_t bound = 0;
  for (const Leaf& leaf : leaves_) bound = std::max(bound, leaf.label);
  if (bound < 4 * leaves_.size() + 65536) return bound + 1;
  absl::flat_hash_map<uint32_t, uint32_t> numbers;
  for (Leaf& leaf : leaves_) {
    leaf.label =
        numbers.try_emplace(leaf.label, static_cast<uint32_t>(numbers.size())).first->second;
  }
  return static_cast<uint32_t>(numbers.size());
}

uint32_t PairCounting::Place(Placed* order) const {
  // Where the leaves of each join begin, from the top down.
  MalisWorkspace::Buffer<uint32_t> first_leaf(workspace_, joins_.size());
  std::fill(first_leaf.begin(), first_leaf.end(), kNone);
  uint32_t placed = 0;
  for (auto j = static_cast<uint32_t>(joins_.size()); j-- > 0;) {
    if (j >= kAhead) {
      const Join& ahead = joins_[j - kAhead];
      if ((ahead.larger & kJoin) != 0) __builtin_prefetch(&first_leaf[ahead.larger & ~kJoin], 1);
      if ((ahead.smaller & kJoin) != 0) __builtin_prefetch(&joins_[ahead.smaller & ~kJoin]);
    }
    const Join& join = joins_[j];
    if (first_leaf[j] == kNone) {
      first_leaf[j] = std::exchange(placed, placed + join.leaves);
      order[first_leaf[j]].end = placed;
      order[first_leaf[j]].edge = kNotCounted;
    }
    const auto place = [&](Node node, uint32_t at) {
      if ((node & kJoin) != 0) {
        first_leaf[node & ~kJoin] = at;
      } else {
        order[at].label = leaves_[node].label;
        order[at].voxels = leaves_[node].voxels;
      }
    };
    const uint32_t smaller_leaves =
        (join.smaller & kJoin) != 0 ? joins_[join.smaller & ~kJoin].leaves : 1;
    const uint32_t end = first_leaf[j] + join.leaves;
    place(join.larger, first_leaf[j]);
    place(join.smaller, end - smaller_leaves);
    order[end - smaller_leaves].end = end;
    order[end - smaller_leaves].edge = join.edge;
  }
  return placed;
}

void PairCounting::Count(MalisPass pass, CountSink& counts) {
  if (joins_.size() == 0) return;
  const uint32_t labels = CompactLabels();
  MalisWorkspace::Buffer<Placed> order(workspace_, leaves_.size());
  const uint32_t size = Place(order.data());
  MalisWorkspace::Buffer<uint32_t> voxels(workspace_, labels);
  std::fill(voxels.begin(), voxels.end(), 0U);
  uint64_t sum = 0;
  for (uint32_t bottom = 0; bottom < size; ++bottom) {
    const uint32_t top = order[bottom].end;
    if (top == bottom + 1) continue;  // A smaller side of one leaf: no joins in it.
    voxels[order[bottom].label] = order[bottom].voxels;
    uint64_t total = order[bottom].voxels;
    for (uint32_t begin = bottom + 1; begin < top;) {
      const uint32_t end = order[begin].end;
      uint64_t equal = 0;
      uint64_t added = 0;
      for (uint32_t i = begin; i < end; ++i) {
        if (i + kAhead < top) __builtin_prefetch(&voxels[order[i + kAhead].label], 1);
        equal += static_cast<uint64_t>(order[i].voxels) * voxels[order[i].label];
        added += order[i].voxels;
      }
      for (uint32_t i = begin; i < end; ++i) voxels[order[i].label] += order[i].voxels;
      const uint64_t count = pass == MalisPass::kPositive ? equal : total * added - equal;
      if (count != 0 && order[begin].edge != kNotCounted) {
        sum += counts.Store(order[begin].edge, count);
      }
      total += added;
      begin = end;
    }
    for (uint32_t i = bottom; i < top; ++i) voxels[order[i].label] = 0;
  }
  counts.AddSum(sum);
}

}  // namespace lossd
