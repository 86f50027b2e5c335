#include "lossd/malis/cpu/block_contraction.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "lossd/malis/cpu/block_edges.h"
#include "lossd/malis/cpu/block_sets.h"
#include "lossd/malis/cpu/cycle_filter.h"

namespace lossd {
namespace {

// Where the nodes of a block begin in the forest of all blocks.
struct FirstNodes {
  uint32_t leaf = 0;
  uint32_t join = 0;

  FirstNodes After(const BlockRest& rest) const {
    return {.leaf = leaf + static_cast<uint32_t>(rest.forest_leaves.size()),
            .join = join + static_cast<uint32_t>(rest.forest_joins.size())};
  }
  JoinForest::Node NodeOf(JoinForest::Node node) const {
    return node + ((node & JoinForest::kJoin) != 0 ? join : leaf);
  }
};

void CopySets(const Workspace::Buffer<ContractedSet>& from, const FirstNodes& first,
              ContractedSet* to) {
  for (ContractedSet set : from) {
    if (set.several_labels != 0) set.label = first.NodeOf(set.label);
    *to++ = set;
  }
}

void CopyForest(const BlockRest& rest, const FirstNodes& first, JoinForest& forest) {
  std::copy(rest.forest_leaves.begin(), rest.forest_leaves.end(),
            forest.leaves.begin() + first.leaf);
  JoinForest::Join* to = forest.joins.begin() + first.join;
  for (JoinForest::Join join : rest.forest_joins) {
    join.larger = first.NodeOf(join.larger);
    join.smaller = first.NodeOf(join.smaller);
    *to++ = join;
  }
}

// Numbers the sets of all blocks one after the other, and looks up the far ends of edges.
ContractedGraph Assemble(const BlockGrid& grid, std::vector<BlockRest>& rests,
                         const LocalVoxel* set_of, const Context& context, Workspace& workspace) {
  std::vector<uint32_t> first_set(grid.blocks() + 1, 0);
  std::vector<uint32_t> first_leaf(grid.blocks() + 1, 0);
  std::vector<size_t> first_edge(grid.blocks() + 1, 0);
  std::vector<FirstNodes> first_node(grid.blocks() + 1);
  for (int64_t block = 0; block < grid.blocks(); ++block) {
    first_set[block + 1] = first_set[block] + static_cast<uint32_t>(rests[block].sets.size());
    first_leaf[block + 1] = first_leaf[block] + static_cast<uint32_t>(rests[block].leaves.size());
    first_edge[block + 1] = first_edge[block] + rests[block].edges.size();
    first_node[block + 1] = first_node[block].After(rests[block]);
  }
  ContractedGraph graph = {.sets = Workspace::Buffer<ContractedSet>(workspace, first_set.back()),
                           .leaves = Workspace::Buffer<ContractedSet>(workspace, first_leaf.back()),
                           .edges = Workspace::Buffer<ContractedEdge>(workspace, first_edge.back()),
                           .forest = JoinForest(workspace),
                           .contracted = 0};
  const size_t most_leaves = first_node.back().leaf + graph.sets.size() + graph.leaves.size();
  const size_t most_joins = first_node.back().join +
                            std::min(graph.edges.size(), graph.sets.size() + graph.leaves.size());
  if (first_node.back().join != 0) {
    // Where blocks join several labels, the rest does.
    graph.forest.leaves.Reserve(most_leaves);
    graph.forest.joins.Reserve(most_joins);
  } else {
    graph.forest.leaves.Expect(most_leaves);
    graph.forest.joins.Expect(most_joins);
  }
  graph.forest.leaves.Resize(first_node.back().leaf);
  graph.forest.joins.Resize(first_node.back().join);
  context.ParallelFor(grid.blocks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const BlockRest& rest = rests[block];
      CopySets(rest.sets, first_node[block], graph.sets.data() + first_set[block]);
      CopySets(rest.leaves, first_node[block], graph.leaves.data() + first_leaf[block]);
      CopyForest(rest, first_node[block], graph.forest);
      const Box box = grid.BoxOf(block);
      ContractedEdge* out = graph.edges.data() + first_edge[block];
      for (size_t i = 0; i < rest.edges.size(); ++i) {
        ContractedEdge edge = rest.edges[i];
        edge.a += first_set[block];
        if (i < rest.deferred) {
          edge.b += (edge.b & kLeaf) != 0 ? first_leaf[block] : first_set[block];
        } else {
          const std::array<int64_t, 3>& offset = grid.channels()[ChannelOf(edge.b)].offset;
          const uint32_t local = VoxelOf(edge.b);
          const int64_t z = box.begin[0] + grid.LocalZ(local) + offset[0];
          const int64_t y = box.begin[1] + grid.LocalY(local) + offset[1];
          const int64_t x = box.begin[2] + grid.LocalX(local) + offset[2];
          edge.b = first_set[grid.BlockOf(z, y, x)] + set_of[grid.Index(z, y, x)];
        }
        *out++ = edge;
      }
      rests[block] = BlockRest();
    }
  });
  return graph;
}

// What is contracted, and how.
struct Contraction {
  const MalisSample& sample;
  absl::Span<const uint32_t> labels;
  const BlockGrid& grid;
  const Context& context;
  Workspace& workspace;

  // Calls body(block, edges, sets) for all blocks in parallel, a thread's edges and sets serving
  // one block after the other.
  template <typename Body>
  void ForEachBlock(const PassKeys& keys, const Body& body) const {
    const CycleFilter filter(sample.shape, sample.neighborhood, keys.keys);
    const int64_t grain = std::max<int64_t>(1, grid.blocks() / (4 * context.threads()));
    context.ParallelFor(grid.blocks(), grain, [&](int64_t begin, int64_t end) {
      BlockEdges edges(grid, filter, keys, workspace);
      BlockSets sets(grid, labels, workspace);
      for (int64_t block = begin; block < end && !context.Cancelled(); ++block) {
        const Box box = grid.BoxOf(block);
        edges.Collect(box);
        sets.StartFromVoxels(box);
        body(block, edges, sets);
      }
    });
  }
};

// What a pass leaves of all blocks.
struct Remains {
  std::vector<BlockRest> rests;
  Workspace::Buffer<LocalVoxel> set_of;  // [Z, Y, X], of voxels that edges lead out of.

  void Resize(const Contraction& contraction) {
    rests.resize(contraction.grid.blocks());
    set_of = Workspace::Buffer<LocalVoxel>(contraction.workspace,
                                           static_cast<size_t>(contraction.sample.shape.voxels()));
  }
};

// Both passes, of shared keys. The positive edges that the negative pass contracts are those that
// the positive pass joins: its components are where the negative pass starts.
void ContractTogether(const Contraction& contraction, const EdgeKeys& keys,
                      const std::array<CountSink*, 2>& counts, std::array<Remains, 2>& remains) {
  auto& [negative, positive] = remains;
  contraction.ForEachBlock(keys.pass[0], [&](int64_t block, BlockEdges& edges, BlockSets& sets) {
    sets.Open(edges.upper());
    sets.JoinInOrder(edges.upper(), MalisPass::kPositive, *counts[1]);
    positive.rests[block] = sets.Rest({&edges.upper()}, positive.set_of.data());
    sets.StartFromComponents();
    sets.Open(edges.upper());
    sets.Open(edges.lower());
    sets.JoinInOrder(edges.lower(), MalisPass::kNegative, *counts[0]);
    negative.rests[block] = sets.Rest({&edges.lower(), &edges.upper()}, negative.set_of.data());
  });
}

void ContractPass(const Contraction& contraction, const PassKeys& keys, MalisPass pass,
                  CountSink& counts, Remains& remains) {
  contraction.ForEachBlock(keys, [&](int64_t block, BlockEdges& edges, BlockSets& sets) {
    sets.JoinAll(edges.upper());
    sets.Open(edges.upper());
    sets.Open(edges.lower());
    sets.JoinInOrder(edges.lower(), pass, counts);
    remains.rests[block] = sets.Rest({&edges.lower(), &edges.upper()}, remains.set_of.data());
  });
}

}  // namespace

absl::StatusOr<std::array<ContractedGraph, 2>> ContractBlocks(
    const MalisSample& sample, absl::Span<const uint32_t> labels, EdgeKeys keys,
    const std::array<CountSink*, 2>& counts, const Context& context, Workspace& workspace,
    int block_bits) {
  const BlockGrid grid(sample.shape, sample.neighborhood, block_bits);
  const Contraction contraction = {
      .sample = sample, .labels = labels, .grid = grid, .context = context, .workspace = workspace};
  std::array<Remains, 2> remains;
  for (const int p : {0, 1}) {
    if (counts[p] != nullptr) remains[p].Resize(contraction);
  }
  if (keys.shared && counts[0] != nullptr && counts[1] != nullptr) {
    ContractTogether(contraction, keys, counts, remains);
  } else {
    for (const int p : {0, 1}) {
      if (counts[p] == nullptr) continue;
      const auto pass = static_cast<MalisPass>(p);
      if (!keys.shared) BuildPassKeys(sample, pass, context, keys);
      ContractPass(contraction, keys.pass[p], pass, *counts[p], remains[p]);
    }
  }
  if (absl::Status status = context.status(); !status.ok()) return status;
  // The keys are read; their memory can hold what is left.
  keys.storage = {};
  std::array<ContractedGraph, 2> graphs;
  for (const int p : {0, 1}) {
    if (counts[p] == nullptr) continue;
    graphs[p] = Assemble(grid, remains[p].rests, remains[p].set_of.data(), context, workspace);
    graphs[p].contracted = keys.pass[p].contracted;
  }
  if (absl::Status status = context.status(); !status.ok()) return status;
  return graphs;
}

}  // namespace lossd
