#ifndef LOSSD_MALIS_CPU_JOIN_FOREST_H_
#define LOSSD_MALIS_CPU_JOIN_FOREST_H_

#include <cstdint>

#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/growing_buffer.h"

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
  explicit JoinForest(Workspace& workspace) : leaves(workspace), joins(workspace) {}

  Node AddLeaf(uint32_t label, uint32_t voxels) {
    leaves.PushBack({.label = label, .voxels = voxels});
    return static_cast<Node>(leaves.size() - 1);
  }

  // A set of several labels.
  struct Side {
    Node node;
    uint32_t voxels;
    uint32_t leaves;  // LeavesOf(node).
  };

  // Two sets become one; `edge` or kNotCounted.
  Node AddJoin(const Side& a, const Side& b, uint32_t edge) {
    const bool in_order = a.voxels >= b.voxels;
    joins.PushBack({.larger = in_order ? a.node : b.node,
                    .smaller = in_order ? b.node : a.node,
                    .leaves = a.leaves + b.leaves,
                    .edge = edge});
    return static_cast<Node>(joins.size() - 1) | kJoin;
  }

  uint32_t LeavesOf(Node node) const {
    return (node & kJoin) != 0 ? joins[node & ~kJoin].leaves : 1;
  }

  GrowingBuffer<Leaf> leaves;
  GrowingBuffer<Join> joins;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_JOIN_FOREST_H_
