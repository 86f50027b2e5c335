#ifndef LOSSD_MALIS_CPU_BLOCK_EDGES_H_
#define LOSSD_MALIS_CPU_BLOCK_EDGES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/block_grid.h"
#include "lossd/malis/cpu/cycle_filter.h"
#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/cpu/growing_buffer.h"

namespace lossd {

struct KeyedCode {
  uint32_t descending;  // Descending(key).
  uint32_t code;        // EdgeCode.
};

// Edges of a block.
struct BlockEdgeList {
  explicit BlockEdgeList(Workspace& workspace)
      : inner(workspace), outer(workspace), touched(workspace), out(workspace, kBlockVoxels) {}

  void Clear() {
    inner.Resize(0);
    outer.Resize(0);
    touched.Resize(0);
    std::fill(out.begin(), out.end(), kNoEdge);
  }

  // Notes that an edge with this key leads from local voxel v out of the block, or into it.
  void Touch(uint32_t v, EdgeKey key) {
    if (out[v] == kNoEdge) touched.PushBack(static_cast<LocalVoxel>(v));
    out[v] = std::max(out[v], key);
  }

  GrowingBuffer<KeyedCode> inner;     // Both ends in the block.
  GrowingBuffer<KeyedCode> outer;     // Leave it.
  GrowingBuffer<LocalVoxel> touched;  // Voxels with an edge that leaves or enters the block.
  Workspace::Buffer<EdgeKey> out;     // Of these, by voxel: the strongest.
};

// Sorts out the edges of a block: which may be in the forest at all (cycle_filter.h), which stay in
// the block, which leave or enter it.
class BlockEdges {
 public:
  BlockEdges(const BlockGrid& grid, const CycleFilter& filter, const PassKeys& keys,
             Workspace& workspace)
      : grid_(grid),
        filter_(filter),
        keys_(keys),
        lower_(workspace),
        upper_(workspace),
        bounds_(workspace, kBlockVoxels + kVectorKeys) {}

  void Collect(const Box& block);

  const BlockEdgeList& lower() const { return lower_; }  // Keys in [lowest, contracted).
  const BlockEdgeList& upper() const { return upper_; }  // Keys at or above `contracted`.

 private:
  // Edges of the block's voxels: those in `inner` end in the block, the others leave it.
  void CollectOwn(size_t channel, const Box& own, const Box& inner);
  void AddInner(const EdgeKey* keys, uint32_t code, int64_t begin, int64_t end);
  void AddOuter(const EdgeKey* keys, uint32_t code, int64_t begin, int64_t end);
  // Edges that end in the block and begin outside, which is all of `foreign` but `inner`.
  void CollectForeign(size_t channel, const Box& foreign, const Box& inner);
  void CollectForeignRow(size_t channel, int64_t z, int64_t y, int64_t begin, int64_t end);
  // The keys of `count` edges from (z, y, x) on; fills bounds_ for them.
  const EdgeKey* FilteredKeys(size_t channel, int64_t z, int64_t y, int64_t x, int64_t count);

  uint32_t LocalIn(int64_t z, int64_t y, int64_t x) const {
    return static_cast<uint32_t>(
        grid_.LocalOf(z - block_.begin[0], y - block_.begin[1], x - block_.begin[2]));
  }
  BlockEdgeList& ListOf(EdgeKey key) { return key < keys_.contracted ? lower_ : upper_; }

  const BlockGrid& grid_;
  const CycleFilter& filter_;
  PassKeys keys_;
  Box block_ = {};
  BlockEdgeList lower_;
  BlockEdgeList upper_;
  Workspace::Buffer<EdgeKey> bounds_;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_BLOCK_EDGES_H_
