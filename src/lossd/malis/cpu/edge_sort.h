#ifndef LOSSD_MALIS_CPU_EDGE_SORT_H_
#define LOSSD_MALIS_CPU_EDGE_SORT_H_

#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/contracted_graph.h"

namespace lossd {

// Puts the edges of a graph in the order in which Kruskal's algorithm takes them: by descending
// key, equal ones by ascending edge index; those that join without a count come first, in any
// order. The order is parted into ranges, then each range is sorted by itself; both steps are
// parallel, and a range of an ordinary volume fits a cache. When the context is cancelled, edges
// are unspecified, as after all steps that follow.
void SortEdges(ContractedGraph& graph, const Context& context, Workspace& workspace);

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_EDGE_SORT_H_
