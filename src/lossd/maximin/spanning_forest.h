#ifndef LOSSD_MAXIMIN_SPANNING_FOREST_H_
#define LOSSD_MAXIMIN_SPANNING_FOREST_H_

#include "lossd/base/task_pool.h"
#include "lossd/maximin/contracted_graph.h"
#include "lossd/maximin/count_sink.h"
#include "lossd/maximin/malis.h"
#include "lossd/maximin/workspace.h"

namespace lossd {

// Kruskal's algorithm on what the blocks have left over, its edges in order (edge_sort.h). The
// edges lose their ends over it.
void JoinRest(ContractedGraph& graph, MalisPass pass, TaskPool& pool, MalisWorkspace& workspace,
              CountSink& counts);

// Its two steps. One thread walks the edges, which receive their counts; counts of sets with
// several labels go to `counts` at once.
void WalkEdges(ContractedGraph& graph, MalisPass pass, MalisWorkspace& workspace,
               CountSink& counts);
// The edges' counts lie anywhere in the volume: stored in parallel.
void StoreCounts(const ContractedGraph& graph, TaskPool& pool, CountSink& counts);

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_SPANNING_FOREST_H_
