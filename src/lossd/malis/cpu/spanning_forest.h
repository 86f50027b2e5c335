#ifndef LOSSD_MALIS_CPU_SPANNING_FOREST_H_
#define LOSSD_MALIS_CPU_SPANNING_FOREST_H_

#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/contracted_graph.h"
#include "lossd/malis/cpu/count_sink.h"
#include "lossd/malis/malis.h"

namespace lossd {

// Kruskal's algorithm on what the blocks have left over, its edges in order (edge_sort.h). The
// edges lose their ends over it. When the context is cancelled, counts are unspecified.
void JoinRest(ContractedGraph& graph, MalisPass pass, const Context& context, Workspace& workspace,
              CountSink& counts);

// Its first and its last step; between them CountPairs (pair_counting.h) counts what the graph's
// forest holds. One thread walks the edges: they receive their counts, but for joins of sets with
// several labels, which go to the forest.
void WalkEdges(ContractedGraph& graph, MalisPass pass, const Context& context,
               Workspace& workspace);
// The edges' counts lie anywhere in the volume: stored in parallel.
void StoreCounts(const ContractedGraph& graph, const Context& context, CountSink& counts);

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_SPANNING_FOREST_H_
