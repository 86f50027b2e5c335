#ifndef LOSSD_MAXIMIN_EDGE_SORT_H_
#define LOSSD_MAXIMIN_EDGE_SORT_H_

#include "lossd/base/task_pool.h"
#include "lossd/maximin/contracted_graph.h"
#include "lossd/maximin/workspace.h"

namespace lossd {

// Puts the edges of a graph in the order in which Kruskal's algorithm takes them: by descending
// key, equal ones by ascending edge index. The keys are parted into ranges, then each range is
// sorted by itself; both steps are parallel, and a range fits a cache.
void SortEdges(ContractedGraph& graph, TaskPool& pool, MalisWorkspace& workspace);

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_EDGE_SORT_H_
