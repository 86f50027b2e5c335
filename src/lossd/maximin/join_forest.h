#ifndef LOSSD_MAXIMIN_JOIN_FOREST_H_
#define LOSSD_MAXIMIN_JOIN_FOREST_H_

#include <cstdint>

#include "lossd/maximin/growing_buffer.h"
#include "lossd/maximin/workspace.h"

namespace lossd {

// How sets of several labels came about, written down to be counted later (pair_counting.h): binary
// trees of joins, in the order of the joins, above leaves, which are sets of one label.
class JoinForest {
 public:
  // The top bit tells joins from leaves.
  using Node = uint32_t;
  static constexpr Node kJoin = uint32_t{1} << 31;
  // Instead of the edge of a join that nobody wants counted.
  static constexpr uint32_t kNotCounted = ~uint32_t{0};

  struct Leaf {
    uint32_t label;
    uint32_t voxels;
  };
  struct Join {
    Node larger;  // Has at least as many voxels as the other one.
    Node smaller;
    uint32_t leaves;  // How many both have together.
    uint32_t edge;
  };

  JoinForest() = default;
  explicit JoinForest(MalisWorkspace& workspace) : leaves(workspace), joins(workspace) {}

  Node AddLeaf(uint32_t label, uint32_t voxels) {
    leaves.PushBack({.label = label, .voxels = voxels});
    return static_cast<Node>(leaves.size() - 1);
  }

  Node AddJoin(Node larger, Node smaller, uint32_t leaf_count, uint32_t edge) {
    joins.PushBack({.larger = larger, .smaller = smaller, .leaves = leaf_count, .edge = edge});
    return static_cast<Node>(joins.size() - 1) | kJoin;
  }

  uint32_t LeavesOf(Node node) const {
    return (node & kJoin) != 0 ? joins[node & ~kJoin].leaves : 1;
  }

  GrowingBuffer<Leaf> leaves;
  GrowingBuffer<Join> joins;
};

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_JOIN_FOREST_H_
