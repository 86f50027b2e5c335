#ifndef LOSSD_MAXIMIN_PAIR_COUNTING_H_
#define LOSSD_MAXIMIN_PAIR_COUNTING_H_

#include <cstdint>

#include "lossd/maximin/count_sink.h"
#include "lossd/maximin/growing_buffer.h"
#include "lossd/maximin/malis.h"
#include "lossd/maximin/workspace.h"

namespace lossd {

// Counts pairs of voxels across joins of sets with many labels, without a histogram a set.
//
// The joins are written down as a binary tree, its leaves sets of one label, and counted at the
// end: leaves are put in the order of a depth-first walk that visits the larger side first. Then a
// path of larger sides, from its bottom leaf to its top, is a range of leaves, and so is each
// smaller side that joins it:
//
//     ●━━━┳━━━━━━━┳━━━     path: leaves 0 to 5
//     0   ●━┳━    ●━┳━┳━   its smaller sides: 1 to 2, 3 to 5; paths themselves
//         1 2     3 4 5
//
// One array, label → voxels, serves a path: going along it, the leaves of each smaller side are
// looked up and added. A leaf is on a smaller side at most log₂(voxels) times. ("Small to large",
// or DSU on tree.)
class PairCounting {
 public:
  using Node = uint32_t;

  explicit PairCounting(MalisWorkspace& workspace)
      : workspace_(workspace), leaves_(workspace), joins_(workspace) {}

  Node AddLeaf(uint32_t label, uint32_t voxels);

  // The join of two nodes by an edge; kNotCounted for an edge whose count nobody wants. `larger`
  // has at least as many voxels; `leaves`: how many leaves both have together.
  Node AddJoin(Node larger, Node smaller, uint32_t leaves, uint32_t edge);
  static constexpr uint32_t kNotCounted = ~uint32_t{0};

  // Stores the counts of all joins: pairs with equal labels in the positive pass, with different
  // ones in the negative pass.
  void Count(MalisPass pass, CountSink& counts);

 private:
  struct Leaf {
    uint32_t label;
    uint32_t voxels;
  };
  struct Join {
    Node larger;
    Node smaller;
    uint32_t leaves;
    uint32_t edge;
  };

  // A leaf in order, and the smaller side that begins with it: its end and the edge that joins it.
  struct Placed {
    uint32_t label;
    uint32_t voxels;
    uint32_t end;
    uint32_t edge;
  };

  // Fills `order` [leaves] with the leaves below joins; returns how many.
  uint32_t Place(Placed* order) const;
  // Renumbers the leaves' labels from 0 where they are too far apart to index an array by them;
  // returns a bound of the labels.
  uint32_t CompactLabels();

  MalisWorkspace& workspace_;
  GrowingBuffer<Leaf> leaves_;
  GrowingBuffer<Join> joins_;
};

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_PAIR_COUNTING_H_
