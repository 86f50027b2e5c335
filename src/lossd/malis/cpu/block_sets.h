#ifndef LOSSD_MALIS_CPU_BLOCK_SETS_H_
#define LOSSD_MALIS_CPU_BLOCK_SETS_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/block_edges.h"
#include "lossd/malis/cpu/block_grid.h"
#include "lossd/malis/cpu/contracted_graph.h"
#include "lossd/malis/cpu/count_sink.h"
#include "lossd/malis/cpu/growing_buffer.h"
#include "lossd/malis/cpu/join_forest.h"
#include "lossd/malis/malis.h"

namespace lossd {

// What one pass leaves of a block. Sets are numbered within it.
struct BlockRest {
  Workspace::Buffer<ContractedSet> sets;
  Workspace::Buffer<ContractedSet> leaves;
  // Deferred edges: a is a set of this block, b another or a leaf. Then edges that leave the block:
  // a is a set of it, b the edge's code, its far end to be looked up in the other block.
  Workspace::Buffer<ContractedEdge> edges;
  size_t deferred = 0;
  // How the sets and leaves of several labels came about.
  Workspace::Buffer<JoinForest::Leaf> forest_leaves;
  Workspace::Buffer<JoinForest::Join> forest_joins;
};

// The sets of a block's voxels, and what a pass does with them (block_contraction.h says why).
class BlockSets {
 public:
  BlockSets(const BlockGrid& grid, absl::Span<const uint32_t> labels, Workspace& workspace)
      : grid_(grid),
        labels_(labels),
        workspace_(workspace),
        sorted_(workspace),
        deferred_(workspace),
        numbered_(workspace),
        leaves_(workspace),
        forest_(workspace),
        parent_(workspace, kBlockVoxels),
        sets_(workspace, kBlockVoxels),
        number_(workspace, kBlockVoxels) {}

  // Every voxel becomes a set.
  void StartFromVoxels(const Box& block);

  // Every component of what has been joined or deferred becomes a set.
  void StartFromComponents();

  // Opens the sets that edges lead out of.
  void Open(const BlockEdgeList& edges);

  // Joins the ends of all edges at once, without a count, before any set is opened.
  void JoinAll(const BlockEdgeList& edges);

  // Joins the ends of edges from the strongest on, as far as that is final, and defers the rest.
  void JoinInOrder(const BlockEdgeList& edges, MalisPass pass, CountSink& counts);

  // What is left after a pass. `set_of` [Z, Y, X] receives the sets of voxels that edges lead out
  // of.
  BlockRest Rest(absl::Span<const BlockEdgeList* const> lists, LocalVoxel* set_of);

 private:
  // What is known of a set stands at its root.
  struct Set {
    EdgeKey strongest_out;  // Of the edges that leave the block; kLinked after a deferred join.
    uint32_t label;         // That of its labelled voxels; anything where there is none.
    LocalVoxel voxels;      // How many are labelled.
    LocalVoxel link : 15;   // Towards the first of the sets that deferred joins connect with it.
    LocalVoxel several_labels : 1;  // `label` is the node of a join.

    bool ClosedAt(EdgeKey key) const { return strongest_out < key; }
    // Whether the two together have one label, or none.
    bool JoinsAsOne(const Set& other) const {
      const bool one_each = (several_labels | other.several_labels) == 0;
      return (one_each & (label == other.label)) | (voxels == 0) | (other.voxels == 0);
    }
  };

  struct Deferred {
    KeyedCode edge;
    LocalVoxel a;  // The root of a set.
    uint32_t b;    // Likewise, or a leaf.
  };

  uint32_t FindSet(uint32_t v);
  // The first of the sets linked with one, all given by their roots.
  uint32_t FindLinked(uint32_t set);
  uint32_t OtherEnd(uint32_t code) const {
    return static_cast<uint32_t>(VoxelOf(code) + grid_.channels()[ChannelOf(code)].local_stride);
  }

  // Two closed sets become one, its label that of the one with more voxels.
  void Join(uint32_t a, uint32_t b);
  // Likewise, but with several labels: a join of the forest.
  void JoinSeveral(uint32_t a, uint32_t b, uint32_t edge);
  JoinForest::Side SideOf(const Set& set);
  void Defer(uint32_t a, bool a_closed, uint32_t b, bool b_closed, const KeyedCode& edge);
  // A closed set joins another along its strongest edge. Its other edges become edges of the other
  // set, so that it hangs on it by this edge alone: as a leaf, or as nothing when it has no label.
  void Hang(uint32_t leaf, uint32_t set, const KeyedCode& edge);
  // Two open sets stay two.
  void Link(uint32_t a, uint32_t b, const KeyedCode& edge);

  // The voxel index of the block's first voxel.
  int64_t Base() const { return grid_.Index(block_.begin[0], block_.begin[1], block_.begin[2]); }
  uint32_t EdgeIndex(uint32_t code, int64_t base) const {
    return static_cast<uint32_t>(ChannelOf(code) * grid_.voxels() + base +
                                 grid_.IndexOf(VoxelOf(code)));
  }

  ContractedSet Contracted(uint32_t set) const;
  // The number of a set, given by its root; sets get one when first asked for.
  LocalVoxel Number(uint32_t set);

  // There are at most 2¹⁵ sets, so that this is no number of one.
  static constexpr LocalVoxel kUnnumbered = 0xFFFF;
  // Stronger than any edge: the set is never closed again.
  static constexpr EdgeKey kLinked = std::numeric_limits<EdgeKey>::max();

  const BlockGrid& grid_;
  absl::Span<const uint32_t> labels_;
  Workspace& workspace_;
  Box block_ = {};
  GrowingBuffer<KeyedCode> sorted_;
  GrowingBuffer<Deferred> deferred_;
  GrowingBuffer<ContractedSet> numbered_;
  GrowingBuffer<ContractedSet> leaves_;
  JoinForest forest_;
  Workspace::Buffer<LocalVoxel> parent_;  // By voxel, as the three below.
  Workspace::Buffer<Set> sets_;
  Workspace::Buffer<LocalVoxel> number_;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_BLOCK_SETS_H_
