#ifndef LOSSD_MAXIMIN_SPANNING_FOREST_H_
#define LOSSD_MAXIMIN_SPANNING_FOREST_H_

#include "lossd/maximin/contracted_graph.h"
#include "lossd/maximin/count_sink.h"
#include "lossd/maximin/malis.h"
#include "lossd/maximin/workspace.h"

namespace lossd {

// Kruskal's algorithm on what the blocks have left over, its edges in order (edge_sort.h).
void JoinRest(const ContractedGraph& graph, MalisPass pass, MalisWorkspace& workspace,
              CountSink& counts);

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_SPANNING_FOREST_H_
