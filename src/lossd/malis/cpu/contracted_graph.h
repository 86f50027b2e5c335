#ifndef LOSSD_MALIS_CPU_CONTRACTED_GRAPH_H_
#define LOSSD_MALIS_CPU_CONTRACTED_GRAPH_H_

#include <cstdint>

#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/cpu/join_forest.h"

namespace lossd {

// A set of voxels that are certain to be together before any edge of theirs that is left.
struct ContractedSet {
  uint32_t label;               // Of all that is labelled in it, 0 for nothing; or a forest's join.
  uint32_t voxels : 31;         // How many are labelled.
  uint32_t several_labels : 1;  // `label` is the node of the join that made the set.
};

// An edge between two of them.
struct ContractedEdge {
  EdgeKey key;
  uint32_t edge;  // Index in [C, Z, Y, X].
  uint32_t a;     // A set.
  uint32_t b;     // A set, or kLeaf and the number of a leaf.

  // Once its ends have been joined, they make room for the edge's count.
  void SetCount(uint64_t count) {
    a = static_cast<uint32_t>(count);
    b = static_cast<uint32_t>(count >> 32);
  }
  uint64_t count() const { return uint64_t{b} << 32 | a; }
};
inline constexpr uint32_t kLeaf = uint32_t{1} << 31;

// The graph that is left of the grid: same maximum spanning forest, same counts.
struct ContractedGraph {
  Workspace::Buffer<ContractedSet> sets;
  Workspace::Buffer<ContractedSet> leaves;  // Sets with a single edge.
  Workspace::Buffer<ContractedEdge> edges;  // In no order.
  JoinForest forest;                        // Of the sets and leaves of several labels.
  EdgeKey contracted;  // Edges with this key or a larger one join without a count.
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_CONTRACTED_GRAPH_H_
