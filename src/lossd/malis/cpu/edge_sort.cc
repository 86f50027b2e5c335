#include "lossd/malis/cpu/edge_sort.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "lossd/base/checkpoints.h"
#include "lossd/malis/cpu/radix_sort.h"

namespace lossd {
namespace {

constexpr int kRangeBits = 10;
// One more, the first, for the edges that join without a count.
constexpr size_t kRanges = (size_t{1} << kRangeBits) + 1;

// Ascends in the order in which Kruskal's algorithm takes edges.
uint64_t Order(const ContractedEdge& edge) {
  return uint64_t{Descending(edge.key)} << 32 | edge.edge;
}

// Parts the order of a graph's edges into ranges. They are of the whole order, not of the keys
// alone, so that equal keys are no single range.
class Ranges {
 public:
  Ranges(const ContractedGraph& graph, int64_t chunk, const Context& context)
      : contracted_(graph.contracted) {
    const auto size = static_cast<int64_t>(graph.edges.size());
    std::vector<std::pair<uint64_t, uint64_t>> bounds((size + chunk - 1) / chunk);
    context.ParallelFor(size, chunk, [&](int64_t begin, int64_t end) {
      std::pair<uint64_t, uint64_t> bound = {~uint64_t{0}, 0};
      for (int64_t i = begin; i < end; ++i) {
        if (graph.edges[i].key >= contracted_) continue;
        const uint64_t order = Order(graph.edges[i]);
        bound = {std::min(bound.first, order), std::max(bound.second, order)};
      }
      bounds[begin / chunk] = bound;
    });
    uint64_t last = 0;
    for (const auto& [lowest, highest] : bounds) {
      first_ = std::min(first_, lowest);
      last = std::max(last, highest);
    }
    if (first_ < last) {
      shift_ = std::max(0, static_cast<int>(std::bit_width(last - first_)) - kRangeBits);
    }
  }

  size_t Of(const ContractedEdge& edge) const {
    return edge.key >= contracted_ ? 0 : 1 + ((Order(edge) - first_) >> shift_);
  }

 private:
  EdgeKey contracted_;
  uint64_t first_ = ~uint64_t{0};
  int shift_ = 0;
};

// Orders `size` edges as Kruskal takes them; the result lies in `edges`.
void SortPart(ContractedEdge* edges, ContractedEdge* scratch, size_t size, const Context& context) {
  // A part may be nearly all there is, when a few keys lie far from the others.
  Checkpoints checkpoints(context);
  const auto go_on = [&](size_t steps) { return checkpoints.Pass(static_cast<int64_t>(steps)); };
  const ContractedEdge* sorted = RadixSort(
      edges, scratch, size, [](const ContractedEdge& edge) { return Descending(edge.key); }, go_on);
  if (sorted != edges) std::copy_n(sorted, size, edges);
  // Equal keys go by edge index.
  for (size_t begin = 0; begin < size;) {
    size_t end = begin + 1;
    while (end < size && edges[end].key == edges[begin].key) ++end;
    if (!go_on(end - begin)) return;
    if (end - begin > 64) {
      sorted = RadixSort(
          edges + begin, scratch + begin, end - begin,
          [](const ContractedEdge& edge) { return edge.edge; }, go_on);
      if (sorted != edges + begin) std::copy_n(sorted, end - begin, edges + begin);
    } else if (end - begin > 1) {
      std::sort(edges + begin, edges + end,
                [](const ContractedEdge& a, const ContractedEdge& b) { return a.edge < b.edge; });
    }
    begin = end;
  }
}

// Writes the edges range by range; returns where each begins, and where the last one ends.
std::vector<uint32_t> PartIntoRanges(const ContractedGraph& graph, const Context& context,
                                     Workspace& workspace, ContractedEdge* parted) {
  const Workspace::Buffer<ContractedEdge>& edges = graph.edges;
  const auto size = static_cast<int64_t>(edges.size());
  const int64_t chunk = std::clamp<int64_t>(size / (4 * context.threads()) + 1, 1 << 16, 1 << 22);
  const int64_t chunks = (size + chunk - 1) / chunk;
  const Ranges ranges(graph, chunk, context);
  // How many edges of each range a chunk has, then where they go.
  Workspace::Buffer<uint32_t> places(workspace, static_cast<size_t>(chunks) * kRanges);
  context.ParallelFor(size, chunk, [&](int64_t begin, int64_t end) {
    uint32_t* const counts = places.data() + static_cast<size_t>(begin / chunk) * kRanges;
    std::fill_n(counts, kRanges, 0U);
    for (int64_t i = begin; i < end; ++i) ++counts[ranges.Of(edges[i])];
  });
  std::vector<uint32_t> starts(kRanges + 1);
  uint32_t place = 0;
  for (size_t range = 0; range < kRanges; ++range) {
    starts[range] = place;
    for (int64_t c = 0; c < chunks; ++c) {
      place += std::exchange(places[static_cast<size_t>(c) * kRanges + range], place);
    }
  }
  starts[kRanges] = place;
  context.ParallelFor(size, chunk, [&](int64_t begin, int64_t end) {
    uint32_t* const next = places.data() + static_cast<size_t>(begin / chunk) * kRanges;
    for (int64_t i = begin; i < end; ++i) parted[next[ranges.Of(edges[i])]++] = edges[i];
  });
  return starts;
}

}  // namespace

void SortEdges(ContractedGraph& graph, const Context& context, Workspace& workspace) {
  if (graph.edges.size() == 0) return;
  Workspace::Buffer<ContractedEdge> sorted(workspace, graph.edges.size());
  const std::vector<uint32_t> starts = PartIntoRanges(graph, context, workspace, sorted.data());
  context.ParallelFor(kRanges - 1, 8, [&](int64_t begin, int64_t end) {
    for (int64_t range = begin + 1; range <= end; ++range) {
      SortPart(sorted.data() + starts[range], graph.edges.data() + starts[range],
               starts[range + 1] - starts[range], context);
    }
  });
  graph.edges = std::move(sorted);
}

}  // namespace lossd
