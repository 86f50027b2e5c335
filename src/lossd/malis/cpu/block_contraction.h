#ifndef LOSSD_MALIS_CPU_BLOCK_CONTRACTION_H_
#define LOSSD_MALIS_CPU_BLOCK_CONTRACTION_H_

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/block_grid.h"
#include "lossd/malis/cpu/contracted_graph.h"
#include "lossd/malis/cpu/count_sink.h"
#include "lossd/malis/cpu/edge_keys.h"
#include "lossd/malis/malis.h"

namespace lossd {

// Runs Kruskal's algorithm inside every block of the grid as far as it is certain to do there what
// it does on the whole.
//
// A set of voxels is *open* at some key once an edge at least as strong leaves its block, else
// closed. An edge that joins
// - two closed sets: nothing else has joined either before, so the global algorithm does the same.
//   They become one set. With one label its count is final; with several, the join goes to the
//   graph's forest, which is counted at the end.
// - a closed set and another one: it is the closed set's strongest edge, so the global algorithm
//   joins them too, but the other set's size is not known yet. All further edges of the closed set
//   will be the other's: it becomes a leaf. Without a label it counts nothing and just vanishes.
// - two open sets: they stay two sets with this edge between them. Edges that close a cycle with
//   such edges go, as ever.
//
// Blocks are independent of one another. `block_bits` <= kBlockBits: for tests, which want many
// blocks in a small volume.
//
// Both passes run here, as one may use what the other found out; a pass with null counts is left
// out. Arrays are by MalisPass. The only error is the context's status when it is cancelled.
absl::StatusOr<std::array<ContractedGraph, 2>> ContractBlocks(
    const MalisSample& sample, absl::Span<const uint32_t> labels, EdgeKeys keys,
    const std::array<CountSink*, 2>& counts, const Context& context, Workspace& workspace,
    int block_bits = kBlockBits);

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_BLOCK_CONTRACTION_H_
