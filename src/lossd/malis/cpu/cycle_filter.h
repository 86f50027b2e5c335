#ifndef LOSSD_MALIS_CPU_CYCLE_FILTER_H_
#define LOSSD_MALIS_CPU_CYCLE_FILTER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/cpu/kernels.h"
#include "lossd/malis/grid.h"

namespace lossd {

// Finds edges that are in no maximum spanning forest, by looking at their neighbourhood alone.
//
// Two channels with offsets p and q span a parallelogram of edges at every voxel v:
//
//        v+q ──p── v+p+q
//         │          │
//         q          q          The weakest edge of a cycle is in no maximum spanning tree
//         │          │          (Tarjan's red rule).
//         v ───p─── v+p
//
// On real predictions this drops half of the edges and more, without a branch, before anything is
// sorted. Each edge is looked at for itself, so any part of a volume can be filtered at any time,
// in parallel.
class CycleFilter {
 public:
  CycleFilter(const GridShape& shape, absl::Span<const Offset> neighborhood, const KeyArray& keys);

  // Sets bounds[i], for i in [0, count), so that the edge of `channel` at voxel first + i is the
  // weakest of one of its parallelograms if and only if its key is less. Writes up to kVectorKeys
  // more.
  void Find(int64_t channel, int64_t first, int64_t count, EdgeKey* bounds) const;

 private:
  KeyArray keys_;
  std::vector<std::vector<EdgeCycle>> cycles_;  // By channel.
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_CYCLE_FILTER_H_
