#ifndef LOSSD_MALIS_FLAT_ALGORITHM_H_
#define LOSSD_MALIS_FLAT_ALGORITHM_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/atomics.h"
#include "lossd/malis/flat/edges.h"
#include "lossd/malis/flat/forest.h"
#include "lossd/malis/flat/loops.h"

// One pass of MALIS by parallel loops alone, none of whose steps waits for another in a loop, the
// same for processors and GPUs: docs/gpu.md tells how it works. Work is about linear, at worst
// O(C·N·log N) for N voxels and C channels.
namespace lossd::flat {

inline constexpr uint32_t kNone = ~uint32_t{0};

// How many numbers below `end` need.
inline int BitsBelow(uint64_t end) {
  return end == 0 ? 0 : static_cast<int>(std::bit_width(end - 1));
}

// Calls body(c, at) for the edge of channel c at a voxel, wherever there is one.
template <typename Loops, typename Body>
void ForEdges(Loops& loops, const Edges& edges, Body body) {
  loops.For(edges.voxels, [=] LOSSD_LAMBDA(uint32_t v) {
    const Position at = edges.At(v);
    for (uint32_t c = 0; c < edges.channels; ++c) {
      if (edges.Exists(c, at)) body(c, at);
    }
  });
}

// An earlier voxel with an edge between it and v for whose place use(place) holds; v if there is
// none.
template <typename Use>
LOSSD_VECTORIZED uint32_t EarlierNeighbour(const Edges& edges, uint32_t v, const Use& use) {
  const Position at = edges.At(v);
  for (uint32_t c = 0; c < edges.channels; ++c) {
    const bool here = edges.LeadsBack(c);
    const Position from = here ? at : edges.StepBack(at, c);
    if (edges.Exists(c, from) && use(edges.Place(c, from))) {
      return here ? edges.Step(at, c).voxel : from.voxel;
    }
  }
  return v;
}

// By voxel: the first voxel of its component, connected by edges for whose place use(place) holds.
template <typename Loops, typename Use>
Array<uint32_t> Components(Loops& loops, const Edges& edges, Use use) {
  Array<uint32_t> links(loops.memory(), edges.voxels);
  uint32_t* const link = links.data();
  // Trees first, of one edge a voxel, which no two threads contend for.
  loops.For(edges.voxels,
            [=] LOSSD_LAMBDA(uint32_t v) { link[v] = EarlierNeighbour(edges, v, use); });
  Flatten(loops, edges.voxels, link);
  ForEdges(loops, edges, [=] LOSSD_LAMBDA(uint32_t c, const Position& at) {
    if (use(edges.Place(c, at))) Unite(link, at.voxel, edges.Step(at, c).voxel);
  });
  Flatten(loops, edges.voxels, link);
  return links;
}

// The labels of a batch that has none: its components of positive edges, 0 where such a component
// is a single voxel.
template <typename Loops>
Array<uint32_t> ComponentLabels(Loops& loops, const Edges& edges) {
  Array<uint32_t> labels = Components(
      loops, edges, [=] LOSSD_LAMBDA(uint64_t place) { return edges.positive[place] != 0; });
  Array<uint32_t> sizes(loops.memory(), edges.voxels);
  uint32_t* const label = labels.data();
  uint32_t* const size = sizes.data();
  loops.For(edges.voxels, [=] LOSSD_LAMBDA(uint32_t v) { size[v] = 0; });
  loops.For(edges.voxels, [=] LOSSD_LAMBDA(uint32_t v) { AddToFew(size + label[v], 1); });
  loops.For(edges.voxels,
            [=] LOSSD_LAMBDA(uint32_t v) { label[v] = size[label[v]] == 1 ? 0 : label[v] + 1; });
  return labels;
}

// 1. Leaves. What the rounds start from: voxels, or components of the edges that come first and
// whose counts nobody wants.
struct Leaves {
  uint32_t count = 0;
  Array<uint32_t> of_voxel;  // Empty: each voxel is its own leaf.
  Array<uint32_t> first;     // First voxel of each leaf; empty likewise.
};

// An array of numbers that may be missing: then each is its own.
struct Renumbered {
  const uint32_t* numbers;
  LOSSD_VECTORIZED uint32_t operator()(uint32_t i) const {
    return numbers == nullptr ? i : numbers[i];
  }
};

template <typename Loops>
Leaves FindLeaves(Loops& loops, const Edges& edges) {
  const uint32_t n = edges.voxels;
  if (!edges.contract) return {.count = n, .of_voxel = {}, .first = {}};
  Leaves leaves;
  leaves.of_voxel = Components(
      loops, edges, [=] LOSSD_LAMBDA(uint64_t place) { return edges.Constrained(place); });
  uint32_t* const leaf = leaves.of_voxel.data();
  const Array<uint32_t> numbers(loops.memory(), size_t{n} + 1);
  uint32_t* const number = numbers.data();
  loops.For(n, [=] LOSSD_LAMBDA(uint32_t v) { number[v] = leaf[v] == v ? 1 : 0; });
  loops.Scan(n, number);
  leaves.count = loops.Fetch(number + n);
  leaves.first = Array<uint32_t>(loops.memory(), leaves.count);
  uint32_t* const first = leaves.first.data();
  loops.For(n, [=] LOSSD_LAMBDA(uint32_t v) {
    const uint32_t root = leaf[v];
    if (root == v) first[number[v]] = v;
    leaf[v] = number[root];
  });
  return leaves;
}

// 2. Edges between the nodes of a round.
struct GraphEdge {
  uint64_t order;
  uint32_t a, b;
};

// Those between two leaves that no cycle is seen to make superfluous.
template <typename Loops>
Array<GraphEdge> CollectEdges(Loops& loops, const Edges& edges, const Leaves& leaves) {
  ScratchMemory& memory = loops.memory();
  const Array<uint32_t> late_keys(memory, size_t{edges.channels} * edges.voxels);
  uint32_t* const late_key = late_keys.data();
  loops.For(edges.voxels, [=] LOSSD_LAMBDA(uint32_t v) {
    const Position at = edges.At(v);
    for (uint32_t c = 0; c < edges.channels; ++c) {
      late_key[edges.Number(c, at)] = edges.LateKey(c, at);
    }
  });
  // A voxel's edges as bits of a few words.
  constexpr uint32_t kBits = 32;
  const uint32_t words = (edges.channels + kBits - 1) / kBits;
  const uint32_t n = words * edges.voxels;
  const Renumbered leaf{leaves.of_voxel.data()};
  const OrderedEdges ordered = {.edges = edges, .late_keys = late_key};
  const Array<uint32_t> found(memory, n);
  const Array<uint32_t> places(memory, size_t{n} + 1);
  uint32_t* const bits = found.data();
  uint32_t* const place = places.data();
  loops.For(n, [=] LOSSD_LAMBDA(uint32_t i) {
    const Position at = edges.At(i / words);
    const bool far_inside = edges.FarInside(at);
    const uint32_t first = i % words * kBits;
    uint32_t wanted = 0;
    uint32_t count = 0;
    for (uint32_t c = first; c < edges.channels && c < first + kBits; ++c) {
      if (late_key[edges.Number(c, at)] == kAbsent) continue;
      if (leaf(at.voxel) == leaf(edges.Step(at, c).voxel)) continue;
      const uint64_t order = ordered.Order(c, at);
      if (far_inside ? ordered.ClosesCycle<true>(c, at, order)
                     : ordered.ClosesCycle<false>(c, at, order)) {
        continue;
      }
      wanted |= 1U << (c - first);
      ++count;
    }
    bits[i] = wanted;
    place[i] = count;
  });
  loops.Scan(n, place);
  Array<GraphEdge> graph(memory, loops.Fetch(place + n));
  GraphEdge* const out = graph.data();
  loops.For(n, [=] LOSSD_LAMBDA(uint32_t i) {
    uint32_t wanted = bits[i];
    if (wanted == 0) return;
    const Position at = edges.At(i / words);
    GraphEdge* next = out + place[i];
    for (uint32_t c = i % words * kBits; wanted != 0; ++c, wanted >>= 1) {
      if ((wanted & 1) == 0) continue;
      *next++ = {
          .order = ordered.Order(c, at), .a = leaf(at.voxel), .b = leaf(edges.Step(at, c).voxel)};
    }
  });
  return graph;
}

// 3. Borůvka's rounds. Nodes are sets of leaves, those of all rounds numbered one after another:
// the leaves are the nodes of the first, and what a round's nodes become is the next one's.
struct Rounds {
  std::vector<uint32_t> begin = {0};  // First node of each round, and the end.
  Array<uint64_t> best;               // A node's first edge in order; kNever: it has none.
  Array<uint32_t> up;                 // What it is part of in the next round, if it has an edge.
  // Of each node but the leaves, which come first: the part of it whose edge comes first. Of the
  // two that took each other, either.
  Array<uint32_t> first;

  size_t count() const { return begin.size() - 1; }
  uint32_t nodes() const { return begin.back(); }
};

template <typename Loops>
Rounds JoinInRounds(Loops& loops, uint32_t leaves, Array<GraphEdge> edges) {
  ScratchMemory& memory = loops.memory();
  // A round at least halves the nodes that go on.
  const size_t most = 2 * size_t{leaves};
  Rounds rounds;
  rounds.best = Array<uint64_t>(memory, most);
  rounds.up = Array<uint32_t>(memory, most);
  rounds.first = Array<uint32_t>(memory, leaves);
  // Numbers of the next round's nodes, how many these are, and how many edges are between them.
  const Array<uint32_t> numbers(memory, size_t{leaves} + 2);
  uint32_t* const number = numbers.data();
  uint32_t* const first = rounds.first.data();
  for (uint32_t n = leaves; n > 0;) {
    const uint32_t begin = rounds.begin.back();
    const uint32_t next = begin + n;
    rounds.begin.push_back(next);
    uint64_t* const best = rounds.best.data();
    uint32_t* const up = rounds.up.data();
    uint32_t* const link = up + begin;  // Until it is known what the nodes become.
    loops.For(n, [=] LOSSD_LAMBDA(uint32_t i) {
      best[begin + i] = kNever;
      link[i] = i;
    });
    const auto m = static_cast<uint32_t>(edges.size());
    if (m == 0) break;
    const GraphEdge* const edge = edges.data();
    // Some edges first: what they leave is before nearly all others at nodes that many edges meet,
    // and is seen by all who begin to look then.
    const auto offer = [=] LOSSD_LAMBDA(uint32_t i) {
      Min(best + edge[i].a, edge[i].order);
      Min(best + edge[i].b, edge[i].order);
    };
    const uint32_t some = m / 16;
    loops.For(some, offer);
    loops.For(m - some, [=] LOSSD_LAMBDA(uint32_t i) { offer(some + i); });
    // Of two that took each other, the smaller stays a root.
    loops.For(m, [=] LOSSD_LAMBDA(uint32_t i) {
      const GraphEdge e = edge[i];
      const bool of_a = best[e.a] == e.order;
      const bool of_b = best[e.b] == e.order;
      if (of_a && !(of_b && e.a < e.b)) link[e.a - begin] = e.b - begin;
      if (of_b && !(of_a && e.b < e.a)) link[e.b - begin] = e.a - begin;
    });
    Flatten(loops, n, link, [=] LOSSD_LAMBDA(uint32_t i, uint32_t root) {
      number[i] = root == i && best[begin + i] != kNever ? 1 : 0;
    });
    loops.Scan(n, number);
    loops.For(n, [=] LOSSD_LAMBDA(uint32_t i) {
      if (best[begin + i] == kNever) return;
      const uint32_t root = link[i];
      if (root == i) first[next + number[i] - leaves] = begin + i;
      up[begin + i] = next + number[root];
    });
    Array<GraphEdge> left(memory, m);
    loops.Select(
        m, [=] LOSSD_LAMBDA(uint32_t i) { return up[edge[i].a] != up[edge[i].b]; },
        [=] LOSSD_LAMBDA(uint32_t i) {
          return GraphEdge{.order = edge[i].order, .a = up[edge[i].a], .b = up[edge[i].b]};
        },
        left.data(), number + n + 1);
    const auto [nodes_left, edges_left] = loops.FetchTwo(number + n);
    left.Shrink(edges_left);
    edges = std::move(left);
    n = nodes_left;
  }
  return rounds;
}

// Every set of Kruskal's algorithm as a range of leaves. A node's parent is known by the set that
// the node joins with its first edge. A parent's children, one after the other in the order of
// these edges, make the sets that there were; leaves are laid out so.
struct Layout {
  uint32_t nodes = 0;
  Array<uint64_t> best;    // As in Rounds.
  Array<uint32_t> parent;  // kNone: the node is a whole component.
  Array<uint32_t> size;    // Its leaves.
  Array<uint32_t> start;   // Place of the first of them.
};

// 4. Parents. Before its edge, a node is exactly what it has joined by then. The other side is the
// set that a node above is known by: the lowest whose own edge comes later.
template <typename Loops>
void FindParents(Loops& loops, const Rounds& rounds, const Layout& layout) {
  const uint64_t* const best = layout.best.data();
  const uint32_t* const up = rounds.up.data();
  uint32_t* const parent = layout.parent.data();
  loops.For(layout.nodes, [=] LOSSD_LAMBDA(uint32_t g) {
    uint32_t above = kNone;
    if (best[g] != kNever) {
      above = up[g];
      while (best[above] < best[g]) above = up[above];
    }
    parent[g] = above;
  });
}

// Sizes, upward: parents are of later rounds.
template <typename Loops>
void FindSizes(Loops& loops, const Rounds& rounds, const Layout& layout) {
  const uint32_t* const parent = layout.parent.data();
  uint32_t* const size = layout.size.data();
  const uint32_t leaves = rounds.begin[std::min<size_t>(1, rounds.count())];
  loops.For(layout.nodes, [=] LOSSD_LAMBDA(uint32_t g) { size[g] = g < leaves ? 1 : 0; });
  for (size_t r = 0; r < rounds.count(); ++r) {
    const uint32_t begin = rounds.begin[r];
    loops.For(rounds.begin[r + 1] - begin, [=] LOSSD_LAMBDA(uint32_t i) {
      const uint32_t above = parent[begin + i];
      if (above != kNone) AddToFew(size + above, size[begin + i]);
    });
  }
}

// 5. Order. All children but the first ones, by (parent, order).
template <typename Loops>
Array<uint32_t> OrderChildren(Loops& loops, const Rounds& rounds, const Layout& layout,
                              int edge_bits) {
  ScratchMemory& memory = loops.memory();
  const uint64_t* const best = layout.best.data();
  const uint32_t* const parent = layout.parent.data();
  const uint32_t* const up = rounds.up.data();
  const uint32_t* const first = rounds.first.data();
  const auto leaves = static_cast<uint32_t>(rounds.first.size());
  Array<uint32_t> children(memory, leaves);  // Each is a join.
  const Array<uint32_t> counted(memory, 1);
  loops.Select(
      layout.nodes,
      [=] LOSSD_LAMBDA(uint32_t g) { return parent[g] != kNone && first[up[g] - leaves] != g; },
      [=] LOSSD_LAMBDA(uint32_t g) { return g; }, children.data(), counted.data());
  const uint32_t m = loops.Fetch(counted.data());
  children.Shrink(m);
  // By the edges' numbers first, then by the rest of the order, and by parents.
  {
    Array<uint32_t> numbers(memory, m);
    uint32_t* const key = numbers.data();
    const uint32_t* const child = children.data();
    loops.For(m, [=] LOSSD_LAMBDA(uint32_t i) { key[i] = static_cast<uint32_t>(best[child[i]]); });
    loops.SortPairs(edge_bits, numbers, children);
  }
  Array<uint64_t> keys(memory, m);
  uint64_t* const key = keys.data();
  const uint32_t* const child = children.data();
  loops.For(m, [=] LOSSD_LAMBDA(uint32_t i) {
    key[i] = uint64_t{parent[child[i]]} << 32 | best[child[i]] >> 32;
  });
  loops.SortPairs(32 + BitsBelow(layout.nodes), keys, children);
  return children;
}

// Starts: within the parent, after the first child and those between, then downward.
template <typename Loops>
void FindStarts(Loops& loops, const Rounds& rounds, const Array<uint32_t>& children,
                const Layout& layout) {
  ScratchMemory& memory = loops.memory();
  const uint32_t* const parent = layout.parent.data();
  const uint32_t* const size = layout.size.data();
  uint32_t* const start = layout.start.data();
  const uint32_t* const first = rounds.first.data();
  const auto leaves = static_cast<uint32_t>(rounds.first.size());
  // Whole components lie one after the other; first children start where their parents do.
  {
    const Array<uint32_t> sums(memory, size_t{layout.nodes} + 1);
    uint32_t* const sum = sums.data();
    loops.For(layout.nodes,
              [=] LOSSD_LAMBDA(uint32_t g) { sum[g] = parent[g] == kNone ? size[g] : 0; });
    loops.Scan(layout.nodes, sum);
    loops.For(layout.nodes,
              [=] LOSSD_LAMBDA(uint32_t g) { start[g] = parent[g] == kNone ? sum[g] : 0; });
  }
  const auto m = static_cast<uint32_t>(children.size());
  const uint32_t* const child = children.data();
  const Array<uint32_t> sums(memory, size_t{m} + 1);
  const Array<uint32_t> heads(memory, layout.nodes);
  uint32_t* const sum = sums.data();
  uint32_t* const head = heads.data();
  loops.For(m, [=] LOSSD_LAMBDA(uint32_t i) { sum[i] = size[child[i]]; });
  loops.Scan(m, sum);
  loops.For(m, [=] LOSSD_LAMBDA(uint32_t i) {
    const uint32_t above = parent[child[i]];
    if (i == 0 || above != parent[child[i - 1]]) head[above] = sum[i] - size[first[above - leaves]];
  });
  loops.For(m, [=] LOSSD_LAMBDA(uint32_t i) { start[child[i]] = sum[i] - head[parent[child[i]]]; });
  for (size_t r = rounds.count(); r-- > 0;) {
    const uint32_t begin = rounds.begin[r];
    loops.For(rounds.begin[r + 1] - begin, [=] LOSSD_LAMBDA(uint32_t i) {
      const uint32_t above = parent[begin + i];
      if (above != kNone) start[begin + i] += start[above];
    });
  }
}

template <typename Loops>
Layout Arrange(Loops& loops, Rounds rounds, int edge_bits) {
  Layout layout = {.nodes = rounds.nodes(),
                   .best = std::move(rounds.best),
                   .parent = Array<uint32_t>(loops.memory(), rounds.nodes()),
                   .size = Array<uint32_t>(loops.memory(), rounds.nodes()),
                   .start = Array<uint32_t>(loops.memory(), rounds.nodes())};
  FindParents(loops, rounds, layout);
  FindSizes(loops, rounds, layout);
  const Array<uint32_t> children = OrderChildren(loops, rounds, layout, edge_bits);
  FindStarts(loops, rounds, children, layout);
  return layout;
}

// 7. Purity: whether no edge for which use(place) holds joins two labels.
template <typename Loops, typename Use>
bool JoinNoLabels(Loops& loops, const Edges& edges, const uint32_t* labels, Use use) {
  const Array<uint32_t> found(loops.memory(), 1);
  uint32_t* const differ = found.data();
  loops.For(1, [=] LOSSD_LAMBDA(uint32_t) { *differ = 0; });
  ForEdges(loops, edges, [=] LOSSD_LAMBDA(uint32_t c, const Position& at) {
    if (labels[at.voxel] == labels[edges.Step(at, c).voxel] || !use(edges.Place(c, at))) return;
    if (Load(differ) == 0) Store(differ, 1U);
  });
  return loops.Fetch(differ) == 0;
}

// The first index in [0, size] of ascending keys from which on keys are >= wanted: `guess`, of any
// value, or else looked for from `near` in [0, size) on.
LOSSD_VECTORIZED uint32_t LowerBound(const uint64_t* keys, int64_t size, int64_t guess,
                                     int64_t near, uint64_t wanted) {
  const auto before = [=](int64_t i) { return i < 0 || (i < size && keys[i] < wanted); };
  if (guess >= 0 && before(guess - 1) && !before(guess)) return static_cast<uint32_t>(guess);
  int64_t low = near;   // Before the bound.
  int64_t high = near;  // At or behind it.
  for (int64_t step = 1; before(high); step *= 2) {
    low = high;
    high += step;
  }
  for (int64_t step = 1; !before(low); step *= 2) {
    high = low;
    low -= step;
  }
  while (low + 1 < high) {
    const int64_t middle = (low + high) / 2;
    if (before(middle)) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return static_cast<uint32_t>(high < size ? high : size);
}

struct Labels {
  const uint32_t* of_voxel;  // 0 is background.
  uint64_t end;              // Above all of them.
};

// 6. Counts, of all pairs: how many labelled voxels the leaves before each place have, so that a
// join of two ranges has as many pairs as a product says.
template <typename Loops>
Array<uint32_t> CountLabelled(Loops& loops, const Edges& edges, const Labels& labels,
                              const Leaves& leaves, const Layout& layout) {
  Array<uint32_t> counts(loops.memory(), size_t{leaves.count} + 1);
  uint32_t* const count = counts.data();
  const uint32_t* const label = labels.of_voxel;
  const Renumbered leaf{leaves.of_voxel.data()};
  const uint32_t* const start = layout.start.data();
  if (leaves.of_voxel.size() == 0) {
    loops.For(edges.voxels,
              [=] LOSSD_LAMBDA(uint32_t v) { count[start[v]] = label[v] != 0 ? 1 : 0; });
  } else {
    loops.For(leaves.count, [=] LOSSD_LAMBDA(uint32_t i) { count[i] = 0; });
    loops.For(edges.voxels, [=] LOSSD_LAMBDA(uint32_t v) {
      if (label[v] != 0) AddToFew(count + start[leaf(v)], 1);
    });
  }
  loops.Scan(leaves.count, count);
  return counts;
}

// And of pairs of one label, by the node whose edge joins them. Of the labelled groups sorted by
// (label, place), neighbours of one label have one lowest join in common, and each join with the
// label on both sides is that of exactly one such two: the last one on the left and the first on
// the right. Groups are voxels or, where leaves have one label each, leaves.
template <typename Loops>
Array<uint64_t> CountEqualPairs(Loops& loops, const Edges& edges, const Labels& labels,
                                const Leaves& leaves, const Layout& layout,
                                const Array<uint32_t>& labelled, bool by_leaf) {
  ScratchMemory& memory = loops.memory();
  const uint32_t* const label = labels.of_voxel;
  const uint32_t* const start = layout.start.data();
  const uint32_t* const size = layout.size.data();
  const uint32_t* const parent = layout.parent.data();
  const uint64_t* const best = layout.best.data();

  const Renumbered voxel{by_leaf ? leaves.first.data() : nullptr};
  const Renumbered leaf{by_leaf ? nullptr : leaves.of_voxel.data()};
  const uint32_t groups = by_leaf ? leaves.count : edges.voxels;
  const int place_bits = BitsBelow(leaves.count);
  const uint64_t places = (uint64_t{1} << place_bits) - 1;
  Array<uint64_t> keys(memory, groups);
  const Array<uint32_t> counted(memory, 1);
  loops.Select(
      groups, [=] LOSSD_LAMBDA(uint32_t g) { return label[voxel(g)] != 0; },
      [=] LOSSD_LAMBDA(uint32_t g) {
        return uint64_t{label[voxel(g)]} << place_bits | start[leaf(g)];
      },
      keys.data(), counted.data());
  const uint32_t k = loops.Fetch(counted.data());
  keys.Shrink(k);
  loops.SortKeys(place_bits + BitsBelow(labels.end), keys);
  const uint64_t* const key = keys.data();

  // Voxels before each group: as many as groups where these are voxels.
  Array<uint32_t> sums(memory, by_leaf ? size_t{k} + 1 : 0);
  if (by_leaf) {
    const uint32_t* const before = labelled.data();
    uint32_t* const sum = sums.data();
    loops.For(k, [=] LOSSD_LAMBDA(uint32_t i) {
      const uint64_t place = key[i] & places;
      sum[i] = before[place + 1] - before[place];
    });
    loops.Scan(k, sum);
  }
  const Renumbered voxels_before{sums.data()};

  const Array<uint32_t> leaf_of_place(memory, leaves.count);
  uint32_t* const leaf_at = leaf_of_place.data();
  loops.For(leaves.count, [=] LOSSD_LAMBDA(uint32_t g) { leaf_at[start[g]] = g; });
  Array<uint64_t> pairs(memory, layout.nodes);
  uint64_t* const count = pairs.data();
  loops.For(layout.nodes, [=] LOSSD_LAMBDA(uint32_t g) { count[g] = 0; });
  loops.For(k > 0 ? k - 1 : 0, [=] LOSSD_LAMBDA(uint32_t i) {
    const uint64_t this_label = key[i] & ~places;
    if (this_label != (key[i + 1] & ~places) || key[i] == key[i + 1]) return;
    uint32_t a = leaf_at[key[i] & places];
    uint32_t b = leaf_at[key[i + 1] & places];
    while (parent[a] != parent[b]) {  // What lies above has a larger number.
      if (parent[a] < parent[b]) {
        a = parent[a];
      } else {
        b = parent[b];
      }
    }
    if (parent[b] == kNone || !edges.Counts(edges.Place(static_cast<uint32_t>(best[b])))) return;
    // The left side ends before i + 1, the right one begins there. Where all groups of a side have
    // the label, the places say how many there are.
    const uint64_t begin = this_label | start[parent[b]];
    const uint64_t end = this_label | (start[b] + size[b] - 1);
    const auto here = static_cast<int64_t>(i);
    const auto to_begin = static_cast<int64_t>(key[i] - begin);
    const auto to_end = static_cast<int64_t>(end + 1 - key[i + 1]);
    const uint32_t low = LowerBound(key, k, here - to_begin, here, begin);
    const uint32_t high = LowerBound(key, k, here + 1 + to_end, here + 1, end + 1);
    const uint32_t middle = voxels_before(i + 1);
    Add(count + b, uint64_t{middle - voxels_before(low)} * uint64_t{voxels_before(high) - middle});
  });
  return pairs;
}

// Where a pass's counts go.
struct Sink {
  // Many places for the sum of a sample, so that those who add do not wait for each other.
  static constexpr uint32_t kSums = 256;

  uint64_t* counts;  // [B, C, Z, Y, X], or null,
  float* weights;    // the same as float32, or null,
  uint64_t* sums;    // then with their sums, [B, kSums].
};

// The counts of all edges that have one; others are left as they are.
template <typename Loops>
void CountPass(Loops& loops, const Edges& edges, const Labels& labels, const Sink& sink) {
  const Leaves leaves = FindLeaves(loops, edges);
  const Layout layout =
      Arrange(loops, JoinInRounds(loops, leaves.count, CollectEdges(loops, edges, leaves)),
              BitsBelow(uint64_t{edges.channels} * edges.voxels));
  const Array<uint32_t> labelled = CountLabelled(loops, edges, labels, leaves, layout);
  // Contracted edges make the leaves; where others are dropped, the rest makes the sets.
  const bool contract = edges.contract;
  const bool pure = (contract || edges.drop) &&
                    JoinNoLabels(loops, edges, labels.of_voxel, [=] LOSSD_LAMBDA(uint64_t place) {
                      return edges.Constrained(place) == contract;
                    });
  const bool all_equal = pure && edges.drop;
  Array<uint64_t> equal_pairs;
  if (!all_equal) {
    equal_pairs = CountEqualPairs(loops, edges, labels, leaves, layout, labelled, pure && contract);
  }
  const uint64_t* const equal = equal_pairs.data();
  const uint64_t* const best = layout.best.data();
  const uint32_t* const parent = layout.parent.data();
  const uint32_t* const start = layout.start.data();
  const uint32_t* const size = layout.size.data();
  const uint32_t* const before = labelled.data();
  loops.For(layout.nodes, [=] LOSSD_LAMBDA(uint32_t g) {
    // A first child's edge is the second's, too.
    const uint32_t above = parent[g];
    if (above == kNone || start[g] == start[above]) return;
    const auto number = static_cast<uint32_t>(best[g]);
    const uint64_t place = edges.Place(number);
    if (!edges.Counts(place)) return;
    const uint32_t middle = before[start[g]];
    const uint64_t all =
        uint64_t{middle - before[start[above]]} * uint64_t{before[start[g] + size[g]] - middle};
    const uint64_t count = all_equal ? all : edges.negative ? all - equal[g] : equal[g];
    if (sink.counts != nullptr) sink.counts[place] = count;
    if (sink.weights != nullptr) {
      sink.weights[place] = static_cast<float>(count);
      const uint32_t sample = number % edges.voxels / edges.volume;
      if (count != 0) Add(sink.sums + (sample * Sink::kSums + g % Sink::kSums), count);
    }
  });
}

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_ALGORITHM_H_
