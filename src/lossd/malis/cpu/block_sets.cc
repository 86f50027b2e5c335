#include "lossd/malis/cpu/block_sets.h"

#include <algorithm>
#include <utility>

#include "lossd/malis/cpu/radix_sort.h"

namespace lossd {

void BlockSets::StartFromVoxels(const Box& block) {
  block_ = block;
  grid_.ForEachBlockRow(block_, [&](int64_t index, uint32_t first, uint32_t count) {
    const uint32_t* const labels = labels_.data() + index;
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t v = first + i;
      parent_[v] = static_cast<LocalVoxel>(v);
      sets_[v] = {.strongest_out = kNoEdge,
                  .label = labels[i],
                  .voxels = static_cast<LocalVoxel>(labels[i] != 0 ? 1 : 0),
                  .link = static_cast<LocalVoxel>(v & (kBlockVoxels - 1)),
                  .several_labels = 0};
    }
  });
}

void BlockSets::StartFromComponents() {
  grid_.ForEachBlockRow(block_, [&](int64_t /*index*/, uint32_t first, uint32_t count) {
    for (uint32_t v = first; v < first + count; ++v) {
      parent_[v] = static_cast<LocalVoxel>(FindLinked(FindSet(v)));
    }
  });
  grid_.ForEachBlockRow(block_, [&](int64_t /*index*/, uint32_t first, uint32_t count) {
    for (uint32_t v = first; v < first + count; ++v) {
      sets_[v] = {.strongest_out = kNoEdge,
                  .label = 0,
                  .voxels = 0,
                  .link = static_cast<LocalVoxel>(v & (kBlockVoxels - 1)),
                  .several_labels = 0};
    }
  });
  grid_.ForEachBlockRow(block_, [&](int64_t index, uint32_t first, uint32_t count) {
    const uint32_t* const labels = labels_.data() + index;
    for (uint32_t i = 0; i < count;) {
      const uint32_t root = parent_[first + i];
      const uint32_t label = labels[i];
      const uint32_t run = i++;
      while (i < count && parent_[first + i] == root && labels[i] == label) ++i;
      if (label == 0) continue;
      Set& set = sets_[root];
      const uint32_t voxels = i - run;
      if (set.voxels == 0) {
        set.label = label;
      } else if (set.several_labels != 0 || set.label != label) {
        const JoinForest::Side of_run = {
            .node = forest_.AddLeaf(label, voxels), .voxels = voxels, .leaves = 1};
        set.label = forest_.AddJoin(SideOf(set), of_run, JoinForest::kNotCounted);
        set.several_labels = 1;
      }
      set.voxels = static_cast<LocalVoxel>(set.voxels + voxels);
    }
  });
}

void BlockSets::Open(const BlockEdgeList& edges) {
  for (const LocalVoxel v : edges.touched) {
    EdgeKey& strongest_out = sets_[FindSet(v)].strongest_out;
    strongest_out = std::max(strongest_out, edges.out[v]);
  }
}

void BlockSets::JoinAll(const BlockEdgeList& edges) {
  for (const KeyedCode& edge : edges.inner) {
    const uint32_t a = FindSet(VoxelOf(edge.code));
    const uint32_t b = FindSet(OtherEnd(edge.code));
    if (a == b) continue;
    if (sets_[a].JoinsAsOne(sets_[b])) {
      Join(a, b);
    } else {
      JoinSeveral(a, b, JoinForest::kNotCounted);
    }
  }
}

void BlockSets::JoinInOrder(const BlockEdgeList& edges, MalisPass pass, CountSink& counts) {
  const size_t size = edges.inner.size();
  sorted_.Reserve(size);
  const KeyedCode* const sorted = RadixSort(edges.inner.data(), sorted_.data(), size,
                                            [](const KeyedCode& edge) { return edge.descending; });
  const bool counting = pass == MalisPass::kPositive;
  const int64_t base = Base();
  uint64_t sum = 0;
  for (size_t i = 0; i < size; ++i) {
    const KeyedCode edge = sorted[i];
    const uint32_t a = FindSet(VoxelOf(edge.code));
    const uint32_t b = FindSet(OtherEnd(edge.code));
    if (a == b) continue;
    const Set set_a = sets_[a];
    const Set set_b = sets_[b];
    const EdgeKey key = KeyOf(edge.descending);
    const bool a_closed = set_a.ClosedAt(key);
    const bool b_closed = set_b.ClosedAt(key);
    if (!(a_closed & b_closed)) {
      Defer(a, a_closed, b, b_closed, edge);
    } else if (set_a.JoinsAsOne(set_b)) {
      const uint32_t pairs = uint32_t{set_a.voxels} * set_b.voxels;
      if (counting && pairs != 0) sum += counts.Store(EdgeIndex(edge.code, base), pairs);
      Join(a, b);
    } else {
      JoinSeveral(a, b, EdgeIndex(edge.code, base));
    }
  }
  counts.AddSum(sum);
}

BlockRest BlockSets::Rest(absl::Span<const BlockEdgeList* const> lists, LocalVoxel* set_of) {
  std::fill(number_.begin(), number_.end(), kUnnumbered);
  numbered_.Resize(0);
  size_t outer = 0;
  for (const BlockEdgeList* edges : lists) outer += edges->outer.size();
  BlockRest rest;
  rest.deferred = deferred_.size();
  rest.edges = Workspace::Buffer<ContractedEdge>(workspace_, deferred_.size() + outer);
  ContractedEdge* out = rest.edges.data();
  const int64_t base = Base();
  for (const Deferred& deferred : deferred_) {
    *out++ = {.key = KeyOf(deferred.edge.descending),
              .edge = EdgeIndex(deferred.edge.code, base),
              .a = Number(deferred.a),
              .b = (deferred.b & kLeaf) != 0 ? deferred.b : Number(deferred.b)};
  }
  deferred_.Resize(0);
  for (const BlockEdgeList* edges : lists) {
    for (const KeyedCode& edge : edges->outer) {
      *out++ = {.key = KeyOf(edge.descending),
                .edge = EdgeIndex(edge.code, base),
                .a = Number(FindSet(VoxelOf(edge.code))),
                .b = edge.code};
    }
    for (const LocalVoxel v : edges->touched) {
      set_of[base + grid_.IndexOf(v)] = Number(FindSet(v));
    }
  }
  rest.sets = Workspace::Buffer<ContractedSet>(workspace_, numbered_.size());
  std::copy(numbered_.begin(), numbered_.end(), rest.sets.begin());
  rest.leaves = Workspace::Buffer<ContractedSet>(workspace_, leaves_.size());
  std::copy(leaves_.begin(), leaves_.end(), rest.leaves.begin());
  leaves_.Resize(0);
  rest.forest_leaves = Workspace::Buffer<JoinForest::Leaf>(workspace_, forest_.leaves.size());
  std::copy(forest_.leaves.begin(), forest_.leaves.end(), rest.forest_leaves.begin());
  forest_.leaves.Resize(0);
  rest.forest_joins = Workspace::Buffer<JoinForest::Join>(workspace_, forest_.joins.size());
  std::copy(forest_.joins.begin(), forest_.joins.end(), rest.forest_joins.begin());
  forest_.joins.Resize(0);
  return rest;
}

// The root of a voxel's set.
inline uint32_t BlockSets::FindSet(uint32_t v) {
  // Two steps reach nearly every root: taking them always is cheaper than guessing how many.
  const uint32_t root = parent_[parent_[v]];
  if (parent_[root] == root) return root;
  while (parent_[v] != v) {
    parent_[v] = parent_[parent_[v]];
    v = parent_[v];
  }
  return v;
}

uint32_t BlockSets::FindLinked(uint32_t set) {
  while (sets_[set].link != set) {
    sets_[set].link = sets_[sets_[set].link].link;
    set = sets_[set].link;
  }
  return set;
}

inline void BlockSets::Join(uint32_t a, uint32_t b) {
  if (sets_[a].voxels < sets_[b].voxels) std::swap(a, b);
  parent_[b] = static_cast<LocalVoxel>(a);
  sets_[a].voxels = static_cast<LocalVoxel>(sets_[a].voxels + sets_[b].voxels);
  sets_[a].strongest_out = std::max(sets_[a].strongest_out, sets_[b].strongest_out);
}

void BlockSets::JoinSeveral(uint32_t a, uint32_t b, uint32_t edge) {
  if (sets_[a].voxels < sets_[b].voxels) std::swap(a, b);
  sets_[a].label = forest_.AddJoin(SideOf(sets_[a]), SideOf(sets_[b]), edge);
  sets_[a].several_labels = 1;
  Join(a, b);
}

JoinForest::Side BlockSets::SideOf(const Set& set) {
  const JoinForest::Node node =
      set.several_labels != 0 ? set.label : forest_.AddLeaf(set.label, set.voxels);
  return {.node = node, .voxels = set.voxels, .leaves = forest_.LeavesOf(node)};
}

inline void BlockSets::Defer(uint32_t a, bool a_closed, uint32_t b, bool b_closed,
                             const KeyedCode& edge) {
  if (a_closed) {
    Hang(a, b, edge);
  } else if (b_closed) {
    Hang(b, a, edge);
  } else {
    Link(a, b, edge);
  }
}

inline void BlockSets::Hang(uint32_t leaf, uint32_t set, const KeyedCode& edge) {
  parent_[leaf] = static_cast<LocalVoxel>(set);
  if (sets_[leaf].voxels == 0) return;
  deferred_.PushBack({.edge = edge,
                      .a = static_cast<LocalVoxel>(set),
                      .b = static_cast<uint32_t>(leaves_.size()) | kLeaf});
  leaves_.PushBack(Contracted(leaf));
  // From now on the set is not all of what it stands for, and can be no leaf itself.
  sets_[set].strongest_out = kLinked;
}

void BlockSets::Link(uint32_t a, uint32_t b, const KeyedCode& edge) {
  const uint32_t first_a = FindLinked(a);
  const uint32_t first_b = FindLinked(b);
  if (first_a == first_b) return;  // The edge closes a cycle.
  sets_[first_b].link = static_cast<LocalVoxel>(first_a & (kBlockVoxels - 1));
  sets_[a].strongest_out = kLinked;
  sets_[b].strongest_out = kLinked;
  deferred_.PushBack({.edge = edge, .a = static_cast<LocalVoxel>(a), .b = b});
}

ContractedSet BlockSets::Contracted(uint32_t set) const {
  const Set& from = sets_[set];
  return {.label = from.voxels != 0 ? from.label : 0,
          .voxels = from.voxels,
          .several_labels = from.several_labels};
}

LocalVoxel BlockSets::Number(uint32_t set) {
  if (number_[set] == kUnnumbered) {
    number_[set] = static_cast<LocalVoxel>(numbered_.size());
    numbered_.PushBack(Contracted(set));
  }
  return number_[set];
}

}  // namespace lossd
