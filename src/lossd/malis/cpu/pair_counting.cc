#include "lossd/malis/cpu/pair_counting.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "lossd/base/checkpoints.h"

namespace lossd {
namespace {

using Node = JoinForest::Node;
constexpr uint32_t kNone = ~uint32_t{0};
// How many steps ahead memory is asked for what they will need.
constexpr uint32_t kAhead = 16;
// Leaves of a path after which to ask whether to go on.
constexpr uint32_t kCheckEvery = 1 << 16;
// What a look-up in a large table counts for, whose memory may be new.
constexpr int64_t kLookUpSteps = 4;

// Calls body(begin, end) for parts of a path; whether it came to the end.
template <typename Body>
bool InParts(uint32_t begin, uint32_t end, Checkpoints& checkpoints, const Body& body) {
  while (begin < end) {
    const uint32_t stop = begin + std::min(end - begin, kCheckEvery);
    body(begin, stop);
    if (!checkpoints.Pass(stop - begin)) return false;
    begin = stop;
  }
  return true;
}

// A leaf in order, and the smaller side that begins with it: its end and the edge that joins it.
struct Placed {
  uint32_t label;
  uint32_t voxels;
  uint32_t end;
  uint32_t edge;
};

// Renumbers the leaves' labels from 0 where they are too far apart to index an array by them;
// returns a bound of the labels.
size_t RenumberLabels(JoinForest& forest, const Context& context) {
  size_t bound = 0;
  for (const JoinForest::Leaf& leaf : forest.leaves) bound = std::max<size_t>(bound, leaf.label);
  if (bound < 4 * forest.leaves.size() + 65536) return bound + 1;
  absl::flat_hash_map<uint32_t, uint32_t> numbers;
  // Growing, a table of millions stands still for long.
  numbers.reserve(forest.leaves.size());
  Checkpoints checkpoints(context);
  for (JoinForest::Leaf& leaf : forest.leaves) {
    if (!checkpoints.Pass(kLookUpSteps)) break;
    leaf.label =
        numbers.try_emplace(leaf.label, static_cast<uint32_t>(numbers.size())).first->second;
  }
  return numbers.size();
}

// Fills `order` [leaves] with the leaves of the forest; returns how many.
uint32_t Place(const JoinForest& forest, const Context& context, Workspace& workspace,
               Placed* order) {
  constexpr Node kJoin = JoinForest::kJoin;
  const JoinForest::Join* const joins = forest.joins.data();
  // Where the leaves of each join begin, from the top down.
  Workspace::Buffer<uint32_t> first_leaf(workspace, forest.joins.size());
  context.ParallelFor(static_cast<int64_t>(first_leaf.size()), 1 << 18,
                      [&](int64_t begin, int64_t end) {
                        std::fill(first_leaf.data() + begin, first_leaf.data() + end, kNone);
                      });
  // Leaves are placed all over the order: were its memory new, the first few would fetch all of it.
  context.ParallelFor(
      static_cast<int64_t>(forest.leaves.size()), 1 << 18,
      [&](int64_t begin, int64_t end) { std::fill(order + begin, order + end, Placed{}); });
  if (context.Cancelled()) return 0;
  Checkpoints checkpoints(context);
  uint32_t placed = 0;
  for (auto j = static_cast<uint32_t>(forest.joins.size()); j-- > 0 && checkpoints.Pass(1);) {
    if (j >= kAhead) {
      const JoinForest::Join& ahead = joins[j - kAhead];
      if ((ahead.larger & kJoin) != 0) __builtin_prefetch(&first_leaf[ahead.larger & ~kJoin], 1);
      if ((ahead.smaller & kJoin) != 0) __builtin_prefetch(&joins[ahead.smaller & ~kJoin]);
    }
    const JoinForest::Join& join = joins[j];
    if (first_leaf[j] == kNone) {
      first_leaf[j] = std::exchange(placed, placed + join.leaves);
      order[first_leaf[j]].end = placed;
      order[first_leaf[j]].edge = JoinForest::kNotCounted;
    }
    const auto place = [&](Node node, uint32_t at) {
      if ((node & kJoin) != 0) {
        first_leaf[node & ~kJoin] = at;
      } else {
        order[at].label = forest.leaves[node].label;
        order[at].voxels = forest.leaves[node].voxels;
      }
    };
    const uint32_t end = first_leaf[j] + join.leaves;
    const uint32_t smaller = end - forest.LeavesOf(join.smaller);
    place(join.larger, first_leaf[j]);
    place(join.smaller, smaller);
    order[smaller].end = end;
    order[smaller].edge = join.edge;
  }
  return placed;
}

// Counts along the path of larger sides that begins with the leaf `bottom`; returns the sum.
// `voxels` holds 0 for each label, before and, unless it was cancelled, after.
uint64_t CountPath(const Placed* order, uint32_t bottom, MalisPass pass, Checkpoints& checkpoints,
                   uint32_t* voxels, CountSink& counts) {
  const uint32_t top = order[bottom].end;
  voxels[order[bottom].label] = order[bottom].voxels;
  uint64_t total = order[bottom].voxels;
  uint64_t sum = 0;
  const auto add = [&](uint32_t begin, uint32_t end) {
    for (uint32_t i = begin; i < end; ++i) voxels[order[i].label] += order[i].voxels;
  };
  for (uint32_t begin = bottom + 1; begin < top;) {
    const uint32_t end = order[begin].end;
    uint64_t equal = 0;
    uint64_t added = 0;
    const auto count_equal = [&](uint32_t first, uint32_t last) {
      for (uint32_t i = first; i < last; ++i) {
        if (i + kAhead < top) __builtin_prefetch(&voxels[order[i + kAhead].label], 1);
        equal += static_cast<uint64_t>(order[i].voxels) * voxels[order[i].label];
        added += order[i].voxels;
      }
    };
    if (!InParts(begin, end, checkpoints, count_equal) || !InParts(begin, end, checkpoints, add)) {
      return 0;
    }
    const uint64_t count = pass == MalisPass::kPositive ? equal : total * added - equal;
    if (count != 0 && order[begin].edge != JoinForest::kNotCounted) {
      sum += counts.Store(order[begin].edge, count);
    }
    total += added;
    begin = end;
  }
  InParts(bottom, top, checkpoints, [&](uint32_t begin, uint32_t end) {
    for (uint32_t i = begin; i < end; ++i) voxels[order[i].label] = 0;
  });
  return sum;
}

}  // namespace

void CountPairs(JoinForest& forest, MalisPass pass, const Context& context, Workspace& workspace,
                CountSink& counts) {
  if (forest.joins.size() == 0) return;
  const size_t labels = RenumberLabels(forest, context);
  Workspace::Buffer<Placed> order(workspace, forest.leaves.size());
  const uint32_t size = Place(forest, context, workspace, order.data());
  if (context.Cancelled()) return;
  // Each range clears an array of all labels: together they shall not be larger than the order.
  const auto grain = std::max<int64_t>(
      {1 << 14, size / (4 * context.threads()) + 1, static_cast<int64_t>(labels)});
  context.ParallelFor(size, grain, [&](int64_t begin, int64_t end) {
    Workspace::Buffer<uint32_t> voxels(workspace, labels);
    Checkpoints of_range(context);
    InParts(0, static_cast<uint32_t>(labels), of_range, [&](uint32_t first, uint32_t last) {
      std::fill(voxels.data() + first, voxels.data() + last, 0U);
    });
    if (context.Cancelled()) return;
    uint64_t sum = 0;
    for (auto bottom = static_cast<uint32_t>(begin); bottom < end && of_range.Pass(1); ++bottom) {
      if (order[bottom].end == bottom + 1) continue;  // A side of one leaf: no joins in it.
      sum += CountPath(order.data(), bottom, pass, of_range, voxels.data(), counts);
    }
    counts.AddSum(sum);
  });
}

}  // namespace lossd
