#include "lossd/malis/cpu/spanning_forest.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "lossd/base/checkpoints.h"
#include "lossd/malis/cpu/pair_counting.h"

namespace lossd {
namespace {

// How many edges ahead memory is asked for the sets that they will join.
constexpr size_t kAhead = 12;
constexpr uint32_t kOneLabel = ~uint32_t{0};

struct Set {
  uint32_t parent;
  uint32_t voxels;
  JoinForest::Node node;     // kOneLabel as long as the set has no more than one.
  uint32_t label_or_leaves;  // That label, else how many leaves the node has.
};

Set SetOf(const ContractedSet& set, uint32_t parent, const JoinForest& forest) {
  if (set.several_labels == 0) {
    return {
        .parent = parent, .voxels = set.voxels, .node = kOneLabel, .label_or_leaves = set.label};
  }
  return {.parent = parent,
          .voxels = set.voxels,
          .node = set.label,
          .label_or_leaves = forest.LeavesOf(set.label)};
}

uint32_t Find(Set* sets, uint32_t v) {
  while (sets[v].parent != v) {
    sets[v].parent = sets[sets[v].parent].parent;
    v = sets[v].parent;
  }
  return v;
}

}  // namespace

void JoinRest(ContractedGraph& graph, MalisPass pass, const Context& context, Workspace& workspace,
              CountSink& counts) {
  // What a cancelled step has left, the next one cannot read.
  if (context.Cancelled()) return;
  WalkEdges(graph, pass, context, workspace);
  if (context.Cancelled()) return;
  CountPairs(graph.forest, pass, context, workspace, counts);
  StoreCounts(graph, context, counts);
}

void WalkEdges(ContractedGraph& graph, MalisPass pass, const Context& context,
               Workspace& workspace) {
  const size_t size = graph.edges.size();
  ContractedEdge* const edges = graph.edges.data();
  Workspace::Buffer<Set> sets(workspace, graph.sets.size());
  JoinForest& forest = graph.forest;
  context.ParallelFor(static_cast<int64_t>(sets.size()), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      sets[s] = SetOf(graph.sets[s], static_cast<uint32_t>(s), forest);
    }
  });
  if (context.Cancelled()) return;
  const auto side_of = [&](const Set& set) -> JoinForest::Side {
    if (set.node != kOneLabel) {
      return {.node = set.node, .voxels = set.voxels, .leaves = set.label_or_leaves};
    }
    return {
        .node = forest.AddLeaf(set.label_or_leaves, set.voxels), .voxels = set.voxels, .leaves = 1};
  };
  const auto join = [&](Set& into, const Set& from, uint32_t edge) {
    into.node = forest.AddJoin(side_of(into), side_of(from), edge);
    into.label_or_leaves = forest.LeavesOf(into.node);
  };
  Checkpoints checkpoints(context);
  for (size_t i = 0; i < size && checkpoints.Pass(1); ++i) {
    if (i + kAhead < size) {
      const ContractedEdge& ahead = edges[i + kAhead];
      __builtin_prefetch(&sets[ahead.a]);
      if ((ahead.b & kLeaf) != 0) {
        __builtin_prefetch(&graph.leaves[ahead.b & ~kLeaf]);
      } else {
        __builtin_prefetch(&sets[ahead.b]);
      }
    }
    const ContractedEdge edge = edges[i];
    edges[i].SetCount(0);
    uint32_t a = Find(sets.data(), edge.a);
    Set leaf;
    Set* from = &leaf;
    if ((edge.b & kLeaf) != 0) {
      leaf = SetOf(graph.leaves[edge.b & ~kLeaf], a, forest);
    } else {
      uint32_t b = Find(sets.data(), edge.b);
      if (a == b) continue;
      if (sets[a].voxels < sets[b].voxels) std::swap(a, b);
      from = &sets[b];
      from->parent = a;
    }
    Set& into = sets[a];
    if (from->voxels == 0) continue;
    const bool count = edge.key < graph.contracted;
    if (into.voxels == 0) {
      // Only what hangs a leaf on itself may be smaller.
      into.node = from->node;
      into.label_or_leaves = from->label_or_leaves;
    } else if (into.node == kOneLabel && from->node == kOneLabel &&
               into.label_or_leaves == from->label_or_leaves) {
      if (count && pass == MalisPass::kPositive) {
        edges[i].SetCount(static_cast<uint64_t>(into.voxels) * from->voxels);
      }
    } else {
      join(into, *from, count ? edge.edge : JoinForest::kNotCounted);
    }
    into.voxels += from->voxels;
  }
}

void StoreCounts(const ContractedGraph& graph, const Context& context, CountSink& counts) {
  constexpr int64_t kGrain = 1 << 14;
  const ContractedEdge* const edges = graph.edges.data();
  context.ParallelFor(static_cast<int64_t>(graph.edges.size()), kGrain,
                      [&](int64_t begin, int64_t end) {
                        uint64_t sum = 0;
                        for (int64_t i = begin; i < end; ++i) {
                          if (edges[i].count() == 0) continue;
                          sum += counts.Store(edges[i].edge, edges[i].count());
                        }
                        counts.AddSum(sum);
                      });
}

}  // namespace lossd
