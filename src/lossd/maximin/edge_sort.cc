#include "lossd/maximin/edge_sort.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "lossd/maximin/radix_sort.h"

namespace lossd {
namespace {

uint32_t Descending(const ContractedEdge& edge) {
  return ~(static_cast<uint32_t>(edge.key) ^ (1U << 31));
}

// Orders `size` edges as Kruskal takes them; the result lies in `edges`.
void SortPart(ContractedEdge* edges, ContractedEdge* scratch, size_t size) {
  const ContractedEdge* sorted = RadixSort(edges, scratch, size, Descending);
  if (sorted != edges) std::copy_n(sorted, size, edges);
  // Equal keys go by edge index.
  for (size_t begin = 0; begin < size;) {
    size_t end = begin + 1;
    while (end < size && edges[end].key == edges[begin].key) ++end;
    if (end - begin > 64) {
      sorted = RadixSort(edges + begin, scratch + begin, end - begin,
                         [](const ContractedEdge& edge) { return edge.edge; });
      if (sorted != edges + begin) std::copy_n(sorted, end - begin, edges + begin);
    } else if (end - begin > 1) {
      std::sort(edges + begin, edges + end,
                [](const ContractedEdge& a, const ContractedEdge& b) { return a.edge < b.edge; });
    }
    begin = end;
  }
}

}  // namespace

void SortEdges(ContractedGraph& graph, TaskPool& pool, MalisWorkspace& workspace) {
  constexpr int kRangeBits = 10;
  constexpr size_t kRanges = size_t{1} << kRangeBits;
  const MalisWorkspace::Buffer<ContractedEdge>& edges = graph.edges;
  if (edges.size() == 0) return;
  MalisWorkspace::Buffer<ContractedEdge> sorted(workspace, edges.size());
  const auto size = static_cast<int64_t>(edges.size());
  const int64_t chunk = std::max<int64_t>(1 << 16, size / (4 * pool.threads()) + 1);
  const int64_t chunks = (size + chunk - 1) / chunk;
  // Of each chunk: its smallest and largest key; where its edges of each range go.
  std::vector<std::pair<uint32_t, uint32_t>> bounds(chunks);
  MalisWorkspace::Buffer<uint32_t> places(workspace, static_cast<size_t>(chunks) * kRanges);
  pool.ParallelFor(size, chunk, [&](int64_t begin, int64_t end) {
    std::pair<uint32_t, uint32_t>& bound = bounds[begin / chunk];
    bound = {~uint32_t{0}, 0};
    for (int64_t i = begin; i < end; ++i) {
      bound.first = std::min(bound.first, Descending(edges[i]));
      bound.second = std::max(bound.second, Descending(edges[i]));
    }
  });
  std::pair<uint32_t, uint32_t> bound = bounds[0];
  for (const auto& [lowest, highest] : bounds) {
    bound = {std::min(bound.first, lowest), std::max(bound.second, highest)};
  }
  const int shift =
      std::max(0, static_cast<int>(std::bit_width(bound.second - bound.first)) - kRangeBits);
  const auto range_of = [&](const ContractedEdge& edge) {
    return (Descending(edge) - bound.first) >> shift;
  };
  pool.ParallelFor(size, chunk, [&](int64_t begin, int64_t end) {
    uint32_t* const counts = places.data() + static_cast<size_t>(begin / chunk) * kRanges;
    std::fill_n(counts, kRanges, 0U);
    for (int64_t i = begin; i < end; ++i) ++counts[range_of(edges[i])];
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
  pool.ParallelFor(size, chunk, [&](int64_t begin, int64_t end) {
    uint32_t* const next = places.data() + static_cast<size_t>(begin / chunk) * kRanges;
    for (int64_t i = begin; i < end; ++i) sorted[next[range_of(edges[i])]++] = edges[i];
  });
  pool.ParallelFor(kRanges, 8, [&](int64_t begin, int64_t end) {
    for (int64_t range = begin; range < end; ++range) {
      SortPart(sorted.data() + starts[range], edges.data() + starts[range],
               starts[range + 1] - starts[range]);
    }
  });
  graph.edges = std::move(sorted);
}

}  // namespace lossd
