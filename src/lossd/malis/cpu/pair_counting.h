#ifndef LOSSD_MALIS_CPU_PAIR_COUNTING_H_
#define LOSSD_MALIS_CPU_PAIR_COUNTING_H_

#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/count_sink.h"
#include "lossd/malis/cpu/join_forest.h"
#include "lossd/malis/malis.h"

namespace lossd {

// Counts pairs of voxels across joins of sets with many labels, without a histogram a set: those
// with equal labels in the positive pass, with different ones in the negative pass.
//
// The leaves of the trees are put in the order of a depth-first walk that visits the larger side
// first. Then a path of larger sides, from its bottom leaf to its top, is a range of leaves, and so
// is each smaller side that joins it:
//
//     ●━━━┳━━━━━━━┳━━━     path: leaves 0 to 5
//     0   ●━┳━    ●━┳━┳━   its smaller sides: 1 to 2, 3 to 5; paths themselves
//         1 2     3 4 5
//
// One array, label → voxels, serves a path: going along it, the leaves of each smaller side are
// looked up and added. A leaf is on a smaller side at most log₂(voxels) times. ("Small to large",
// or DSU on tree.) May renumber the labels of the leaves.
//
// Paths are counted in parallel; only the order of the leaves is found by one thread, and the
// longest path takes its time. When the context is cancelled, counts are unspecified.
void CountPairs(JoinForest& forest, MalisPass pass, const Context& context, Workspace& workspace,
                CountSink& counts);

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_PAIR_COUNTING_H_
