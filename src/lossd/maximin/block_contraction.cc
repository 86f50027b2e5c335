#include "lossd/maximin/block_contraction.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "lossd/maximin/cycle_filter.h"
#include "lossd/maximin/growing_buffer.h"
#include "lossd/maximin/radix_sort.h"
#include "lossd/maximin/vectorize.h"

namespace lossd {
namespace {

constexpr uint32_t kBlockVoxels = 1U << kBlockBits;
// Beyond this length of a block along x, its other faces grow for little.
constexpr int kRowBits = 6;
using Local = uint16_t;

// A range of voxels along the three axes.
struct Box {
  std::array<int64_t, 3> begin;
  std::array<int64_t, 3> end;

  // Whether voxels of row (z, y) are in it.
  bool HasRow(int64_t z, int64_t y) const {
    return !empty() && z >= begin[0] && z < end[0] && y >= begin[1] && y < end[1];
  }

  bool empty() const { return begin[0] >= end[0] || begin[1] >= end[1] || begin[2] >= end[2]; }
};

Box Intersection(const Box& a, const Box& b) {
  Box box;
  for (int k = 0; k < 3; ++k) {
    box.begin[k] = std::max(a.begin[k], b.begin[k]);
    box.end[k] = std::max(box.begin[k], std::min(a.end[k], b.end[k]));
  }
  return box;
}

// How the volume is cut. Block extents are powers of two, so that a voxel's number within its block
// is a concatenation of its coordinates' bits.
class Blocks {
 public:
  Blocks(const GridShape& shape, int bits) : extent_{shape.z, shape.y, shape.x} {
    // Along x first: rows are contiguous there, which memory likes.
    while (bits > 0 && (int64_t{1} << bits_[2]) < extent_[2] && bits_[2] < kRowBits) {
      ++bits_[2];
      --bits;
    }
    while (bits > 0 && (int64_t{1} << bits_[2]) < extent_[2] && bits_[2] < kRowBits) {
      ++bits_[2];
      --bits;
    }
    while (bits > 0) {
      int widest = -1;
      for (const int k : {2, 1, 0}) {
        const bool covers = (int64_t{1} << bits_[k]) >= extent_[k];
        if (!covers && (widest < 0 || bits_[k] < bits_[widest])) widest = k;
      }
      if (widest < 0) break;
      ++bits_[widest];
      --bits;
    }
    for (int k = 0; k < 3; ++k) {
      count_[k] = (extent_[k] + (int64_t{1} << bits_[k]) - 1) >> bits_[k];
    }
  }

  int64_t count() const { return count_[0] * count_[1] * count_[2]; }

  Box BoxOf(int64_t block) const {
    const std::array<int64_t, 3> at = {block / count_[2] / count_[1], block / count_[2] % count_[1],
                                       block % count_[2]};
    Box box;
    for (int k = 0; k < 3; ++k) {
      box.begin[k] = at[k] << bits_[k];
      box.end[k] = std::min(extent_[k], (at[k] + 1) << bits_[k]);
    }
    return box;
  }

  int64_t BlockOf(int64_t z, int64_t y, int64_t x) const {
    return ((z >> bits_[0]) * count_[1] + (y >> bits_[1])) * count_[2] + (x >> bits_[2]);
  }

  // The number of a voxel relative to the first of its block; for offsets, the difference of two.
  int64_t LocalOf(int64_t z, int64_t y, int64_t x) const {
    return z * (int64_t{1} << (bits_[1] + bits_[2])) + y * (int64_t{1} << bits_[2]) + x;
  }

  int64_t LocalX(uint32_t local) const { return local & ((1U << bits_[2]) - 1); }
  int64_t LocalY(uint32_t local) const { return (local >> bits_[2]) & ((1U << bits_[1]) - 1); }
  int64_t LocalZ(uint32_t local) const { return local >> (bits_[1] + bits_[2]); }

 private:
  std::array<int64_t, 3> extent_;
  std::array<int, 3> bits_ = {0, 0, 0};
  std::array<int64_t, 3> count_ = {1, 1, 1};
};

// An edge within a block or out of it: channel and local voxel, ordered like edge indices.
uint32_t Code(size_t channel, uint32_t local) {
  return static_cast<uint32_t>(channel) << kBlockBits | local;
}
uint32_t ChannelOf(uint32_t code) { return code >> kBlockBits; }
uint32_t VoxelOf(uint32_t code) { return code & (kBlockVoxels - 1); }

struct KeyedCode {
  uint32_t descending;  // Orders as the key does, but ascending.
  uint32_t code;
};

uint32_t Descending(EdgeKey key) { return ~(static_cast<uint32_t>(key) ^ (1U << 31)); }
EdgeKey KeyOf(uint32_t descending) { return static_cast<EdgeKey>(~descending ^ (1U << 31)); }

// What one pass leaves of a block. Sets are numbered within it.
struct BlockRest {
  MalisWorkspace::Buffer<ContractedSet> sets;
  MalisWorkspace::Buffer<ContractedSet> leaves;
  // Deferred edges: a is a set of this block, b another or a leaf. Then edges that leave the block:
  // a is a set of it, b the edge's code, its far end to be looked up in the other block.
  MalisWorkspace::Buffer<ContractedEdge> edges;
  size_t deferred = 0;
};

struct Channel {
  Box box;  // Of the voxels that have the edge.
  std::array<int64_t, 3> offset;
  int64_t local_stride;
};

// What is common to all blocks.
struct Context {
  const MalisSample& sample;
  absl::Span<const uint32_t> labels;
  Blocks blocks;
  std::vector<Channel> channels;

  int64_t Index(int64_t z, int64_t y, int64_t x) const {
    return (z * sample.shape.y + y) * sample.shape.x + x;
  }
};

Context MakeContext(const MalisSample& sample, absl::Span<const uint32_t> labels, int block_bits) {
  Context context = {.sample = sample,
                     .labels = labels,
                     .blocks = Blocks(sample.shape, block_bits),
                     .channels = {}};
  for (const Offset& offset : sample.neighborhood) {
    const EdgeBox box = EdgesOf(sample.shape, offset);
    // A channel without edges has an offset that may be too long to reckon with.
    const Offset step = box.empty() ? Offset{} : offset;
    context.channels.push_back({.box = {.begin = {box.begin.z, box.begin.y, box.begin.x},
                                        .end = {box.end.z, box.end.y, box.end.x}},
                                .offset = {step.z, step.y, step.x},
                                .local_stride = context.blocks.LocalOf(step.z, step.y, step.x)});
  }
  return context;
}

// Edges of one block that matter, those in [lowest, contracted) or those at or above `contracted`.
struct EdgeLists {
  explicit EdgeLists(MalisWorkspace& workspace)
      : inner(workspace), outer(workspace), touched(workspace), out(workspace, kBlockVoxels) {}

  void Clear(size_t capacity) {
    inner.Resize(0);
    outer.Resize(0);
    touched.Resize(0);
    std::fill_n(out.begin(), capacity, kNoEdge);
  }

  // Notes that an edge with this key leads from local voxel v out of the block, or into it.
  void Touch(uint32_t v, EdgeKey key) {
    if (out[v] == kNoEdge) touched.PushBack(static_cast<Local>(v));
    out[v] = std::max(out[v], key);
  }

  GrowingBuffer<KeyedCode> inner;       // Both ends in the block.
  GrowingBuffer<KeyedCode> outer;       // Leave it.
  GrowingBuffer<Local> touched;         // Voxels with an edge that leaves or enters the block.
  MalisWorkspace::Buffer<EdgeKey> out;  // Of these, by voxel: the strongest.
};

// Sorts out the edges of a block: which are there at all, which stay in it, which leave or enter
// it.
class EdgeCollector {
 public:
  EdgeCollector(const Context& context, const PassKeys& keys, MalisWorkspace& workspace)
      : context_(context),
        keys_(keys),
        filter_(context.sample.shape, context.sample.neighborhood, keys.keys),
        lower_(workspace),
        upper_(workspace),
        redundant_(workspace, kBlockVoxels + kVectorKeys) {}

  void Collect(const Box& box) {
    box_ = box;
    lower_.Clear(kBlockVoxels);
    upper_.Clear(kBlockVoxels);
    for (size_t c = 0; c < context_.channels.size(); ++c) {
      const Channel& channel = context_.channels[c];
      // Where edges begin that end in the block.
      Box source = box_;
      for (int k = 0; k < 3; ++k) {
        source.begin[k] -= channel.offset[k];
        source.end[k] -= channel.offset[k];
      }
      const Box own = Intersection(channel.box, box_);
      const Box inner = Intersection(own, source);
      if (!own.empty()) CollectOwn(c, own, inner);
      const Box foreign = Intersection(channel.box, source);
      if (!foreign.empty()) CollectForeign(c, foreign, inner);
    }
  }

  const EdgeLists& lower() const { return lower_; }
  const EdgeLists& upper() const { return upper_; }

 private:
  uint32_t LocalIn(int64_t z, int64_t y, int64_t x) const {
    return static_cast<uint32_t>(
        context_.blocks.LocalOf(z - box_.begin[0], y - box_.begin[1], x - box_.begin[2]));
  }

  // The keys of `count` edges from (z, y, x) on, after the filter has looked at them.
  const EdgeKey* FilteredKeys(size_t c, int64_t z, int64_t y, int64_t x, int64_t count) {
    const int64_t first = context_.Index(z, y, x);
    filter_.Find(static_cast<int64_t>(c), first, count, redundant_.data());
    return keys_.keys.At(static_cast<int64_t>(c), first);
  }

  // Edges of the block's voxels: those in `inner` end in the block, the others leave it.
  void CollectOwn(size_t c, const Box& own, const Box& inner) {
    for (int64_t z = own.begin[0]; z < own.end[0]; ++z) {
      for (int64_t y = own.begin[1]; y < own.end[1]; ++y) {
        const int64_t count = own.end[2] - own.begin[2];
        const EdgeKey* const keys = FilteredKeys(c, z, y, own.begin[2], count);
        const uint32_t code = Code(c, LocalIn(z, y, own.begin[2]));
        int64_t begin = 0;
        int64_t end = 0;
        if (inner.HasRow(z, y)) {
          begin = inner.begin[2] - own.begin[2];
          end = inner.end[2] - own.begin[2];
        }
        AddOuter(keys, code, 0, begin);
        AddInner(keys, code, begin, end);
        AddOuter(keys, code, end, count);
      }
    }
  }

  void AddInner(const EdgeKey* keys, uint32_t code, int64_t begin, int64_t end) {
    lower_.inner.Reserve(lower_.inner.size() + static_cast<size_t>(end - begin) + 1);
    upper_.inner.Reserve(upper_.inner.size() + static_cast<size_t>(end - begin) + 1);
    // Without a branch: which edges stay is unpredictable.
    KeyedCode* lower = lower_.inner.end();
    KeyedCode* upper = upper_.inner.end();
    for (int64_t i = begin; i < end; ++i) {
      const EdgeKey key = keys[i];
      const KeyedCode edge = {.descending = Descending(key),
                              .code = code + static_cast<uint32_t>(i)};
      const bool kept = redundant_[i] == 0;
      *lower = edge;
      lower += static_cast<int>(kept & (key >= keys_.lowest) & (key < keys_.contracted));
      *upper = edge;
      upper += static_cast<int>(kept & (key >= keys_.contracted));
    }
    lower_.inner.Resize(static_cast<size_t>(lower - lower_.inner.data()));
    upper_.inner.Resize(static_cast<size_t>(upper - upper_.inner.data()));
  }

  void AddOuter(const EdgeKey* keys, uint32_t code, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (keys[i] < keys_.lowest || redundant_[i] != 0) continue;
      EdgeLists& lists = keys[i] < keys_.contracted ? lower_ : upper_;
      const uint32_t at = code + static_cast<uint32_t>(i);
      lists.outer.PushBack({.descending = Descending(keys[i]), .code = at});
      lists.Touch(VoxelOf(at), keys[i]);
    }
  }

  // Edges that end in the block and begin outside, which is all of `foreign` but `inner`.
  void CollectForeign(size_t c, const Box& foreign, const Box& inner) {
    for (int64_t z = foreign.begin[0]; z < foreign.end[0]; ++z) {
      for (int64_t y = foreign.begin[1]; y < foreign.end[1]; ++y) {
        if (inner.HasRow(z, y)) {
          CollectForeignRow(c, z, y, foreign.begin[2], inner.begin[2]);
          CollectForeignRow(c, z, y, inner.end[2], foreign.end[2]);
        } else {
          CollectForeignRow(c, z, y, foreign.begin[2], foreign.end[2]);
        }
      }
    }
  }

  void CollectForeignRow(size_t c, int64_t z, int64_t y, int64_t begin, int64_t end) {
    if (begin >= end) return;
    const EdgeKey* const keys = FilteredKeys(c, z, y, begin, end - begin);
    const std::array<int64_t, 3>& offset = context_.channels[c].offset;
    const uint32_t target = LocalIn(z + offset[0], y + offset[1], begin + offset[2]);
    for (int64_t i = 0; i < end - begin; ++i) {
      if (keys[i] < keys_.lowest || redundant_[i] != 0) continue;
      EdgeLists& lists = keys[i] < keys_.contracted ? lower_ : upper_;
      lists.Touch(target + static_cast<uint32_t>(i), keys[i]);
    }
  }

  const Context& context_;
  PassKeys keys_;
  CycleFilter filter_;
  Box box_ = {};
  EdgeLists lower_;
  EdgeLists upper_;
  MalisWorkspace::Buffer<int32_t> redundant_;
};

// The sets of a block's voxels, and what a pass does with them.
class BlockContractor {
 public:
  BlockContractor(const Context& context, MalisWorkspace& workspace)
      : context_(context),
        workspace_(workspace),
        sorted_(workspace),
        deferred_(workspace),
        numbered_(workspace),
        leaves_(workspace),
        parent_(workspace, kBlockVoxels),
        sets_(workspace, kBlockVoxels),
        labels_(workspace, kBlockVoxels),
        number_(workspace, kBlockVoxels) {}

  // Every voxel becomes a set.
  void StartFromVoxels(const Box& box) {
    box_ = box;
    ForEachRow([&](const uint32_t* labels, uint32_t first, uint32_t count) {
      for (uint32_t i = 0; i < count; ++i) {
        const uint32_t v = first + i;
        parent_[v] = static_cast<Local>(v);
        labels_[v] = labels[i];
        sets_[v] = {.strongest_out = kNoEdge,
                    .voxels = static_cast<Local>(labels[i] != 0 ? 1 : 0),
                    .link = static_cast<Local>(v)};
      }
    });
  }

  // Every component of what has been joined or deferred becomes a set. Returns false when one of
  // them has several labels: then they must be built otherwise.
  bool StartFromComponents() {
    ForEachRow([&](const uint32_t* /*labels*/, uint32_t first, uint32_t count) {
      for (uint32_t v = first; v < first + count; ++v) {
        parent_[v] = static_cast<Local>(FindLinked(FindSet(v)));
      }
    });
    bool single = true;
    ForEachRow([&](const uint32_t* /*labels*/, uint32_t first, uint32_t count) {
      for (uint32_t v = first; v < first + count; ++v) {
        labels_[v] = 0;
        sets_[v] = {.strongest_out = kNoEdge, .voxels = 0, .link = static_cast<Local>(v)};
      }
    });
    ForEachRow([&](const uint32_t* labels, uint32_t first, uint32_t count) {
      for (uint32_t i = 0; i < count;) {
        const uint32_t root = parent_[first + i];
        const uint32_t label = labels[i];
        const uint32_t run = i;
        while (++i < count && parent_[first + i] == root && labels[i] == label) {
        }
        if (label == 0) continue;
        if (sets_[root].voxels == 0) labels_[root] = label;
        sets_[root].voxels = static_cast<Local>(sets_[root].voxels + i - run);
        single = single && labels_[root] == label;
      }
    });
    return single;
  }

  // Joins the ends of all edges at once.
  void JoinAll(const EdgeLists& edges) {
    for (const KeyedCode& edge : edges.inner) {
      const uint32_t a = FindSet(VoxelOf(edge.code));
      const uint32_t b = FindSet(OtherEnd(edge.code));
      if (a == b) continue;
      const bool a_closed = sets_[a].strongest_out != kLinked;
      const bool b_closed = sets_[b].strongest_out != kLinked;
      if (a_closed && b_closed && OneLabel(a, b)) {
        Join(a, b);
      } else {
        Defer(a, a_closed, b, b_closed, edge);
      }
    }
  }

  // Opens the sets that edges lead out of.
  void Open(const EdgeLists& edges) {
    for (const Local v : edges.touched) {
      EdgeKey& strongest_out = sets_[FindSet(v)].strongest_out;
      strongest_out = std::max(strongest_out, edges.out[v]);
    }
  }

  // Joins the ends of edges from the strongest on, as far as that is final, and defers the rest.
  void JoinInOrder(const EdgeLists& edges, MalisPass pass, CountSink& counts) {
    sorted_.Reserve(edges.inner.size());
    const KeyedCode* const sorted =
        RadixSort(edges.inner.data(), sorted_.data(), edges.inner.size(),
                  [](const KeyedCode& edge) { return edge.descending; });
    uint64_t sum = 0;
    const int64_t base = Base();
    for (size_t i = 0; i < edges.inner.size(); ++i) {
      const KeyedCode edge = sorted[i];
      const uint32_t a = FindSet(VoxelOf(edge.code));
      const uint32_t b = FindSet(OtherEnd(edge.code));
      if (a == b) continue;
      const EdgeKey key = KeyOf(edge.descending);
      const bool a_closed = sets_[a].strongest_out < key;
      const bool b_closed = sets_[b].strongest_out < key;
      if (a_closed && b_closed && OneLabel(a, b)) {
        if (pass == MalisPass::kPositive) {
          const uint64_t count = static_cast<uint64_t>(sets_[a].voxels) * sets_[b].voxels;
          if (count != 0) sum += counts.Store(EdgeIndex(edge.code, base), count);
        }
        Join(a, b);
      } else {
        Defer(a, a_closed, b, b_closed, edge);
      }
    }
    counts.AddSum(sum);
  }

  // What is left after a pass. `set_of` [Z, Y, X] receives the sets of voxels that edges lead out
  // of.
  BlockRest Rest(absl::Span<const EdgeLists* const> lists, Local* set_of) {
    std::fill_n(number_.begin(), kBlockVoxels, kUnnumbered);
    numbered_.Resize(0);
    size_t outer = 0;
    for (const EdgeLists* edges : lists) outer += edges->outer.size();
    BlockRest rest;
    rest.deferred = deferred_.size();
    rest.edges = MalisWorkspace::Buffer<ContractedEdge>(workspace_, deferred_.size() + outer);
    ContractedEdge* out = rest.edges.data();
    const int64_t base = Base();
    for (const Deferred& deferred : deferred_) {
      *out++ = {.key = KeyOf(deferred.edge.descending),
                .edge = EdgeIndex(deferred.edge.code, base),
                .a = Number(deferred.a),
                .b = (deferred.b & kLeaf) != 0 ? deferred.b : Number(deferred.b)};
    }
    deferred_.Resize(0);
    for (const EdgeLists* edges : lists) {
      for (const KeyedCode& edge : edges->outer) {
        *out++ = {.key = KeyOf(edge.descending),
                  .edge = EdgeIndex(edge.code, base),
                  .a = Number(FindSet(VoxelOf(edge.code))),
                  .b = edge.code};
      }
      for (const Local v : edges->touched) {
        set_of[base + OffsetOf(v)] = static_cast<Local>(Number(FindSet(v)));
      }
    }
    rest.sets = MalisWorkspace::Buffer<ContractedSet>(workspace_, numbered_.size());
    std::copy(numbered_.begin(), numbered_.end(), rest.sets.begin());
    rest.leaves = MalisWorkspace::Buffer<ContractedSet>(workspace_, leaves_.size());
    std::copy(leaves_.begin(), leaves_.end(), rest.leaves.begin());
    leaves_.Resize(0);
    return rest;
  }

 private:
  struct Set {
    EdgeKey strongest_out;  // Of the edges that leave the block; kLinked after a deferred join.
    Local voxels;           // How many are labelled.
    Local link;             // Towards the first of the sets that deferred joins connect with it.
  };

  struct Deferred {
    KeyedCode edge;
    Local a;     // The root of a set.
    uint32_t b;  // Likewise, or a leaf.
  };

  // Calls row(labels, first local voxel, count) for every row of the block along x.
  template <typename Row>
  void ForEachRow(const Row& row) const {
    const auto count = static_cast<uint32_t>(box_.end[2] - box_.begin[2]);
    for (int64_t z = box_.begin[0]; z < box_.end[0]; ++z) {
      for (int64_t y = box_.begin[1]; y < box_.end[1]; ++y) {
        row(context_.labels.data() + context_.Index(z, y, box_.begin[2]),
            static_cast<uint32_t>(context_.blocks.LocalOf(z - box_.begin[0], y - box_.begin[1], 0)),
            count);
      }
    }
  }

  // The root of a voxel's set.
  uint32_t FindSet(uint32_t v) {
    // Two steps reach nearly every root: taking them always is cheaper than guessing how many.
    uint32_t root = parent_[parent_[v]];
    if (parent_[root] == root) return root;
    while (parent_[v] != v) {
      parent_[v] = parent_[parent_[v]];
      v = parent_[v];
    }
    return v;
  }

  // The first of the sets linked with one, all given by their roots.
  uint32_t FindLinked(uint32_t set) {
    while (sets_[set].link != set) {
      sets_[set].link = sets_[sets_[set].link].link;
      set = sets_[set].link;
    }
    return set;
  }

  uint32_t OtherEnd(uint32_t code) const {
    return static_cast<uint32_t>(VoxelOf(code) + context_.channels[ChannelOf(code)].local_stride);
  }

  bool OneLabel(uint32_t a, uint32_t b) const {
    return labels_[a] == labels_[b] || sets_[a].voxels == 0 || sets_[b].voxels == 0;
  }

  void Join(uint32_t a, uint32_t b) {
    if (sets_[a].voxels < sets_[b].voxels) std::swap(a, b);
    parent_[b] = static_cast<Local>(a);
    sets_[a].voxels = static_cast<Local>(sets_[a].voxels + sets_[b].voxels);
    sets_[a].strongest_out = std::max(sets_[a].strongest_out, sets_[b].strongest_out);
  }

  void Defer(uint32_t a, bool a_closed, uint32_t b, bool b_closed, const KeyedCode& edge) {
    if (a_closed) {
      Hang(a, b, edge);
    } else if (b_closed) {
      Hang(b, a, edge);
    } else {
      Link(a, b, edge);
    }
  }

  // A closed set joins another along its strongest edge. Its other edges become edges of the other
  // set, so that it hangs on it by this edge alone: as a leaf, or as nothing when it has no label.
  void Hang(uint32_t leaf, uint32_t set, const KeyedCode& edge) {
    parent_[leaf] = static_cast<Local>(set);
    if (sets_[leaf].voxels == 0) return;
    deferred_.PushBack({.edge = edge,
                        .a = static_cast<Local>(set),
                        .b = static_cast<uint32_t>(leaves_.size()) | kLeaf});
    leaves_.PushBack({.label = labels_[leaf], .voxels = sets_[leaf].voxels});
    // From now on the set is not all of what it stands for, and can be no leaf itself.
    sets_[set].strongest_out = kLinked;
  }

  // Two open sets stay two.
  void Link(uint32_t a, uint32_t b, const KeyedCode& edge) {
    const uint32_t first_a = FindLinked(a);
    const uint32_t first_b = FindLinked(b);
    if (first_a == first_b) return;  // The edge closes a cycle.
    sets_[first_b].link = static_cast<Local>(first_a);
    sets_[a].strongest_out = kLinked;
    sets_[b].strongest_out = kLinked;
    deferred_.PushBack({.edge = edge, .a = static_cast<Local>(a), .b = b});
  }

  // The voxel index of the block's first voxel, and a local voxel's distance from it.
  int64_t Base() const { return context_.Index(box_.begin[0], box_.begin[1], box_.begin[2]); }
  int64_t OffsetOf(uint32_t v) const {
    const Blocks& blocks = context_.blocks;
    return context_.Index(blocks.LocalZ(v), blocks.LocalY(v), blocks.LocalX(v));
  }

  uint32_t EdgeIndex(uint32_t code, int64_t base) const {
    return static_cast<uint32_t>(ChannelOf(code) * context_.sample.shape.voxels() + base +
                                 OffsetOf(VoxelOf(code)));
  }

  // The number of a set, given by its root; sets get one when first asked for.
  uint32_t Number(uint32_t set) {
    if (number_[set] == kUnnumbered) {
      number_[set] = static_cast<Local>(numbered_.size());
      numbered_.PushBack(
          {.label = sets_[set].voxels != 0 ? labels_[set] : 0, .voxels = sets_[set].voxels});
    }
    return number_[set];
  }

  // There are at most 2¹⁵ sets, so that this is no number of one.
  static constexpr Local kUnnumbered = 0xFFFF;
  // Stronger than any edge: the set is never closed again.
  static constexpr EdgeKey kLinked = std::numeric_limits<EdgeKey>::max();

  const Context& context_;
  MalisWorkspace& workspace_;
  Box box_ = {};
  GrowingBuffer<KeyedCode> sorted_;
  GrowingBuffer<Deferred> deferred_;
  GrowingBuffer<ContractedSet> numbered_;
  GrowingBuffer<ContractedSet> leaves_;
  MalisWorkspace::Buffer<Local> parent_;  // By voxel; what is known of a set stands at its root.
  MalisWorkspace::Buffer<Set> sets_;
  MalisWorkspace::Buffer<uint32_t> labels_;
  MalisWorkspace::Buffer<Local> number_;
};

// Numbers the sets of all blocks one after the other, and looks up the far ends of edges.
ContractedGraph Assemble(const Context& context, std::vector<BlockRest>& rests, const Local* set_of,
                         TaskPool& pool, MalisWorkspace& workspace) {
  const Blocks& blocks = context.blocks;
  std::vector<uint32_t> first_set(blocks.count() + 1, 0);
  std::vector<uint32_t> first_leaf(blocks.count() + 1, 0);
  std::vector<size_t> first_edge(blocks.count() + 1, 0);
  for (int64_t block = 0; block < blocks.count(); ++block) {
    first_set[block + 1] = first_set[block] + static_cast<uint32_t>(rests[block].sets.size());
    first_leaf[block + 1] = first_leaf[block] + static_cast<uint32_t>(rests[block].leaves.size());
    first_edge[block + 1] = first_edge[block] + rests[block].edges.size();
  }
  ContractedGraph graph = {
      .sets = MalisWorkspace::Buffer<ContractedSet>(workspace, first_set.back()),
      .leaves = MalisWorkspace::Buffer<ContractedSet>(workspace, first_leaf.back()),
      .edges = MalisWorkspace::Buffer<ContractedEdge>(workspace, first_edge.back()),
      .contracted = 0};
  pool.ParallelFor(blocks.count(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const BlockRest& rest = rests[block];
      std::copy(rest.sets.begin(), rest.sets.end(), graph.sets.begin() + first_set[block]);
      std::copy(rest.leaves.begin(), rest.leaves.end(), graph.leaves.begin() + first_leaf[block]);
      const Box box = blocks.BoxOf(block);
      ContractedEdge* out = graph.edges.data() + first_edge[block];
      for (size_t i = 0; i < rest.edges.size(); ++i) {
        ContractedEdge edge = rest.edges[i];
        edge.a += first_set[block];
        if (i < rest.deferred) {
          edge.b += (edge.b & kLeaf) != 0 ? first_leaf[block] : first_set[block];
        } else {
          const std::array<int64_t, 3>& offset = context.channels[ChannelOf(edge.b)].offset;
          const uint32_t local = VoxelOf(edge.b);
          const int64_t z = box.begin[0] + blocks.LocalZ(local) + offset[0];
          const int64_t y = box.begin[1] + blocks.LocalY(local) + offset[1];
          const int64_t x = box.begin[2] + blocks.LocalX(local) + offset[2];
          edge.b = first_set[blocks.BlockOf(z, y, x)] + set_of[context.Index(z, y, x)];
        }
        *out++ = edge;
      }
      rests[block] = BlockRest();
    }
  });
  return graph;
}

}  // namespace

std::array<ContractedGraph, 2> ContractBlocks(const MalisSample& sample,
                                              absl::Span<const uint32_t> labels, EdgeKeys keys,
                                              const std::array<CountSink*, 2>& counts,
                                              TaskPool& pool, MalisWorkspace& workspace,
                                              int block_bits) {
  constexpr int kNegative = static_cast<int>(MalisPass::kNegative);
  constexpr int kPositive = static_cast<int>(MalisPass::kPositive);
  const Context context = MakeContext(sample, labels, block_bits);
  const int64_t count = context.blocks.count();
  const auto voxels = static_cast<size_t>(sample.shape.voxels());
  std::array<MalisWorkspace::Buffer<Local>, 2> set_of;
  std::array<std::vector<BlockRest>, 2> rests;
  for (const int p : {kNegative, kPositive}) {
    if (counts[p] == nullptr) continue;
    set_of[p] = MalisWorkspace::Buffer<Local>(workspace, voxels);
    rests[p].resize(count);
  }
  const bool both = counts[kNegative] != nullptr && counts[kPositive] != nullptr;
  const int64_t grain = std::max<int64_t>(1, count / (4 * pool.threads()));
  if (keys.shared() && both) {
    // The positive edges that the negative pass contracts are those that the positive pass joins:
    // its components are where the negative pass starts.
    pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
      EdgeCollector edges(context, keys.pass[kNegative], workspace);
      BlockContractor contractor(context, workspace);
      for (int64_t block = begin; block < end; ++block) {
        const Box box = context.blocks.BoxOf(block);
        edges.Collect(box);
        contractor.StartFromVoxels(box);
        contractor.Open(edges.upper());
        contractor.JoinInOrder(edges.upper(), MalisPass::kPositive, *counts[kPositive]);
        rests[kPositive][block] = contractor.Rest({&edges.upper()}, set_of[kPositive].data());
        if (!contractor.StartFromComponents()) {
          contractor.StartFromVoxels(box);
          contractor.JoinAll(edges.upper());
        }
        contractor.Open(edges.upper());
        contractor.Open(edges.lower());
        contractor.JoinInOrder(edges.lower(), MalisPass::kNegative, *counts[kNegative]);
        rests[kNegative][block] =
            contractor.Rest({&edges.lower(), &edges.upper()}, set_of[kNegative].data());
      }
    });
  } else {
    for (const MalisPass pass : {MalisPass::kNegative, MalisPass::kPositive}) {
      const int p = static_cast<int>(pass);
      if (counts[p] == nullptr) continue;
      pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
        EdgeCollector edges(context, keys.pass[p], workspace);
        BlockContractor contractor(context, workspace);
        for (int64_t block = begin; block < end; ++block) {
          const Box box = context.blocks.BoxOf(block);
          edges.Collect(box);
          contractor.StartFromVoxels(box);
          contractor.JoinAll(edges.upper());
          contractor.Open(edges.upper());
          contractor.Open(edges.lower());
          contractor.JoinInOrder(edges.lower(), pass, *counts[p]);
          rests[p][block] = contractor.Rest({&edges.lower(), &edges.upper()}, set_of[p].data());
        }
      });
    }
  }
  // The keys are read; their memory can hold what is left.
  keys.storage[0] = {};
  keys.storage[1] = {};
  std::array<ContractedGraph, 2> graphs;
  for (const int p : {kNegative, kPositive}) {
    if (counts[p] == nullptr) continue;
    graphs[p] = Assemble(context, rests[p], set_of[p].data(), pool, workspace);
    graphs[p].contracted = keys.pass[p].contracted;
  }
  return graphs;
}

}  // namespace lossd
