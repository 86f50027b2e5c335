#ifndef LOSSD_MAXIMIN_CONTRACTED_GRAPH_H_
#define LOSSD_MAXIMIN_CONTRACTED_GRAPH_H_

#include <cstdint>

#include "lossd/maximin/edge_keys.h"
#include "lossd/maximin/workspace.h"

namespace lossd {

// A set of voxels that are certain to be together before any edge of theirs that is left: all that
// is labelled in it has one label.
struct ContractedSet {
  uint32_t label;   // 0 when nothing in it is labelled.
  uint32_t voxels;  // How many are labelled.
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
  MalisWorkspace::Buffer<ContractedSet> sets;
  MalisWorkspace::Buffer<ContractedSet> leaves;  // Sets with a single edge.
  MalisWorkspace::Buffer<ContractedEdge> edges;  // In no order.
  EdgeKey contracted;  // Edges with this key or a larger one join without a count.
};

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_CONTRACTED_GRAPH_H_
