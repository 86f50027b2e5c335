#ifndef LOSSD_MALIS_CPU_KERNELS_H_
#define LOSSD_MALIS_CPU_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "lossd/malis/cpu/edge_key.h"

// Inner loops of the engine, compiled for each level of instructions (base/instruction_sets.h).
namespace lossd {

// The other three edges of a cycle: where their keys lie relative to the key of the edge that is
// tried, and whether each comes before it (1) or after it (0) when they are equal.
struct EdgeCycle {
  int64_t at[3];
  EdgeKey before[3];
};

// A row of VoxelRuns: where its runs start, and how many do before each of its words.
struct RunRow {
  const uint64_t* starts;
  const uint32_t* before;
  int64_t words;
};

// Edges that lead from voxels of a row to those `x_back` before them in another row, which may be
// the same.
struct EdgeRow {
  const uint64_t* edges;  // A bit for each voxel of `from`.
  RunRow from;
  RunRow to;
  int64_t x_back;
};

struct RunPair {
  uint32_t from;
  uint32_t to;
};

struct MalisKernels {
  // bounds[i], for i in [0, count), is the strongest, over the cycles through the edge at i, of the
  // weakest of its other edges. Writes up to kVectorKeys more.
  void (*find_bounds)(const EdgeKey* edges, const EdgeCycle* cycles, size_t cycle_count,
                      int64_t count, EdgeKey* bounds);

  // Returns how many bits are set in all words; before[i] is how many are in those before the i-th.
  uint32_t (*count_bits)(const uint64_t* words, int64_t size, uint32_t* before);

  // The pairs of runs that edges join: of neighbouring edges between the same two, the first is
  // enough. `pairs` has room for one a voxel. Returns how many there are.
  int64_t (*find_joins)(const EdgeRow& row, RunPair* pairs);

  static const MalisKernels baseline, avx2, avx512;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_KERNELS_H_
